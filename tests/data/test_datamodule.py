from careergpt.data.datamodule import CareerDataModule


def test_smoke(tables, tokenizer, tiny_gpt2, tmp_path):
    data = CareerDataModule(source=str(tables), tokenizer=str(tiny_gpt2), cache=str(tmp_path / "c"), context=128,
        val_fraction=0.2, test_fraction=0.2, processes=1)
    data.prepare_data()
    data.setup("fit")
    print(data.report())
    for batch in data.train_dataloader():
        print(batch.input_ids.shape, batch.n_scored)
