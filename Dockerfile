# Trains, tests, predicts and serves as an ordinary user (1000) on a read-only system; data, logs and the store are volumes:
#   docker build -t evergreen .
#   docker run --rm --init --read-only --tmpfs /tmp --shm-size 1g -v "$PWD/data:/app/data:ro" -v "$PWD/logs:/app/logs" \
#     -v evergreen-cache:/app/.cache evergreen datamodule=folder datamodule.root=data/mine
# The store with its database and a worker: docker compose up (docker-compose.yml).
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.txt requirements-postgres.txt ./
RUN pip install --no-cache-dir -r requirements.txt -r requirements-postgres.txt
COPY . .
RUN python -m compileall -q . \
    && useradd --uid 1000 --no-create-home --home-dir /app/.cache evergreen \
    && mkdir -p logs store .cache && chown evergreen logs store .cache
USER evergreen
# What libraries keep lies in the cache's volume: weights would fill a tmpfs, and Docker's tmpfs loads nothing that was compiled (noexec).
ENV PYTHONDONTWRITEBYTECODE=1 HOME=/app/.cache TORCHINDUCTOR_CACHE_DIR=/app/.cache/torchinductor
ENTRYPOINT ["python", "train.py"]
