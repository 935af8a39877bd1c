# The container that jobs run in: Python 3.11, the locked packages, this code. `make image` builds it.
ARG PYTHON=3.11-slim-bookworm

# The packages, each checked by its hash. This stage's caches and build tools stay behind.
FROM python:${PYTHON} AS packages
WORKDIR /build
COPY tools/set_up.py tools/set_up.py
COPY requirements-build.lock requirements.lock ./
RUN python tools/set_up.py --kind=run --environment=/opt/python
# `--build-arg CUDA=no` leaves the GPU libraries out.
ARG CUDA=yes
COPY requirements-cuda.lock ./
RUN if [ "$CUDA" = yes ]; then \
      /opt/python/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check \
        --require-hashes --no-deps --no-compile -r requirements-cuda.lock; \
    fi

FROM python:${PYTHON}
# The folder is where a trial reports its metric.
RUN useradd --uid 1000 --create-home --no-log-init trainer \
    && mkdir -p /var/hypertune \
    && chown trainer /var/hypertune
COPY --from=packages /opt/python /opt/python
WORKDIR /app
COPY LICENSE ./
COPY configs configs
COPY export export
COPY official_rethink official_rethink
# The host's driver is found where the container runtime puts it.
ENV PATH=/opt/python/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    TF_USE_LEGACY_KERAS=1 \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib64 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# Bytecode of what the commands import. Set-up had no code to import, their user may not write it, and without it every
# process would compile TensorFlow's sources.
RUN PYTHONDONTWRITEBYTECODE= TF_CPP_MIN_LOG_LEVEL=3 python -W ignore -c 'from official_rethink import registry_imports'
USER 1000
ENTRYPOINT ["python"]
CMD ["-m", "official_rethink.describe", "--help"]
