# Trains and evaluates as an ordinary user; data and logs come in and out as volumes:
#   docker build -t evergreen .
#   docker run --rm -v "$PWD/data:/app/data:ro" -v "$PWD/logs:/app/logs" evergreen datamodule=folder datamodule.root=data/mine
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends g++ git && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
RUN useradd --create-home evergreen && mkdir -p logs .cache && chown evergreen logs .cache
USER evergreen
ENTRYPOINT ["python", "train.py"]
