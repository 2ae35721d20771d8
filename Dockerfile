# The image contains the weights, needs no compiler and runs as a user without rights: docs/deploy/README.md.
# For a release, BASE names its digest: debian:bookworm-slim@sha256:...
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# binutils: slim.py strips what compilers left in the packages.
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-venv binutils
RUN python3 -m venv /opt/face128
WORKDIR /build
# Dependencies first: they change rarely, and are the largest.
COPY requirements.lock ./
RUN /opt/face128/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml requirements.txt README.md LICENSE deploy/image/slim.py ./
COPY face128 face128
# ONNX Runtime would report each start to its maker. The package prevents it too, wherever it loads an engine.
ENV ORT_DISABLE_TELEMETRY=1
RUN /opt/face128/bin/pip install --no-deps . && python3 slim.py /opt/face128 && /opt/face128/bin/face128 doctor

# Python needs neither Perl nor the tables of iconv. What is removed here takes no room in the last stage, which is flat.
FROM ${BASE} AS runtime
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/* \
    /usr/lib/*-linux-gnu/gconv /usr/lib/*-linux-gnu/perl* /usr/bin/perl* /usr/share/perl* \
    /usr/lib/python3.11/lib2to3 /usr/lib/python3.11/pydoc_data /usr/lib/python3.11/test
COPY --from=build /opt/face128 /opt/face128
# A number: Kubernetes can check that it is not root.
RUN useradd --no-log-init --no-create-home --uid 10001 face128 && install -d -o face128 -m 700 /data

FROM scratch
COPY --from=runtime / /
LABEL org.opencontainers.image.title=face128 org.opencontainers.image.version=0.2.0
USER 10001
VOLUME /data
ENV PATH=/opt/face128/bin:$PATH PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1

# Beyond loopback, serve requires API_KEY (or FACE128_ALLOW_ANONYMOUS=1). PORT sets the port.
ENV FACE128_HOST=0.0.0.0 FACE128_DATA=/data
EXPOSE 8000
# It asks at the address that the service listens on.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["face128", "health"]
CMD ["face128", "serve"]
