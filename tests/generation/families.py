"""Two families of models, small enough to be asked for everything."""

from collections.abc import Callable

from transformers import GPT2Config, LlamaConfig

CONTEXT, VOCABULARY = 48, 40
END = 0
CONFIGS: dict[str, Callable[[], GPT2Config | LlamaConfig]] = {
    # Of a small vocabulary the end of text is a fortieth: some answers end, some do not.
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCABULARY, n_layer=2, n_head=2, n_embd=32, n_positions=CONTEXT,
        initializer_range=0.3, bos_token_id=END, eos_token_id=END,
    ),
    # Two queries to each key, and rotary positions.
    "llama": lambda: LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=CONTEXT,
        initializer_range=0.3, bos_token_id=END, eos_token_id=END, pad_token_id=None,
    ),
}  # fmt: skip
