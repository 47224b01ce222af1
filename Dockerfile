# The server, from the versions with which the suite passed:
#   docker build -t careergpt . && docker run -p 7860:7860 -e CAREERGPT_TOKEN=… -v $PWD/runs/mine:/careergpt/run:ro careergpt
FROM python:3.11-slim
WORKDIR /careergpt
COPY pyproject.toml constraints.txt README.md main.py ./
COPY careergpt careergpt
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
    --constraint constraints.txt '.[app,embeddings]'
USER nobody
ENV HF_HUB_OFFLINE=1
EXPOSE 7860
ENTRYPOINT ["careergpt", "serve", "--host", "0.0.0.0", "--votes", "/tmp/votes.jsonl"]
CMD ["--model.pretrained", "/careergpt/run/model", "--baseline", "/careergpt/run/baseline"]
