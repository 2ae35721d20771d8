# The image contains the weights, needs no compiler and runs as a non-root user.
FROM python:3.11-slim-bookworm

# ONNX Runtime would report each start to its maker. The package prevents it too, wherever it loads an engine.
ENV ORT_DISABLE_TELEMETRY=1
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
# Dependencies first: they change rarely, and this layer, with the weights, is the largest.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock

COPY pyproject.toml requirements.txt README.md LICENSE ./
COPY face128 face128
RUN pip install --no-deps . && face128 doctor

RUN useradd --system --no-create-home face128 && install -d -o face128 /data
USER face128
VOLUME /data

# Beyond loopback, serve requires API_KEY (or FACE128_ALLOW_ANONYMOUS=1). PORT sets the port.
ENV FACE128_HOST=0.0.0.0 FACE128_DATA=/data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["face128", "health"]
CMD ["face128", "serve"]
