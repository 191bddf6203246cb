# groupd in a container: compiled in one stage, run in another that has no compiler.
#
#     docker build --tag groupd .
#     docker run --publish 7400:7400 --volume groupd:/var/lib/groupd groupd
#     docker exec CONTAINER groupd token alice
#
# Settings come as variables (GROUPD_LIMITS__RATE_PER_S), or in a file that is mounted and named behind
# the image: serve --config /etc/groupd.toml; see docs/configuration.md.

FROM python:3.11-slim AS build
# Debian keeps one version of a package at a time, so a pinned one is gone with the next.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN python -m venv /opt/groupd
# What changes seldom comes first, so that it is built seldom.
COPY requirements.lock ./
RUN /opt/groupd/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY pyproject.toml MANIFEST.in README.md LICENSE ./
COPY src ./src
RUN /opt/groupd/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/groupd/bin/python -c "from groupd import native; assert native.IS_COMPILED" \
    && /opt/groupd/bin/pip uninstall --yes cython setuptools pip

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/groupd --shell /usr/sbin/nologin groupd \
    && install --directory --owner groupd --group groupd --mode 0700 /var/lib/groupd
COPY --from=build /opt/groupd /opt/groupd
ENV PATH=/opt/groupd/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GROUPD_DATA=/var/lib/groupd \
    GROUPD_LISTEN=tcp://0.0.0.0:7400 \
    GROUPD_METRICS__LISTEN=http://127.0.0.1:7401
# Its number, by which an orchestrator sees that it is not root.
USER 10001
WORKDIR /var/lib/groupd
VOLUME /var/lib/groupd
EXPOSE 7400
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["groupd", "health"]
ENTRYPOINT ["groupd"]
CMD ["serve"]
