# Trains, tests, predicts and serves as an ordinary user on a read-only system; data, logs and the store are volumes:
#   docker build -t evergreen .
#   docker run --rm --read-only --tmpfs /tmp -v "$PWD/data:/app/data:ro" -v "$PWD/logs:/app/logs" -v evergreen-cache:/app/.cache \
#     evergreen datamodule=folder datamodule.root=data/mine
# The store with its database and a worker: docker compose up (docker-compose.yml).
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends g++ git && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.txt requirements-postgres.txt ./
RUN pip install --no-cache-dir -r requirements.txt -r requirements-postgres.txt
COPY . .
RUN useradd --create-home evergreen && mkdir -p logs store .cache && chown evergreen logs store .cache
USER evergreen
ENV PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["python", "train.py"]
