"""What runs a package elsewhere: an image for its worker, a workflow that checks it.

Both are texts that a person adapts. Neither holds an address, a secret or a path of
the machine the package was made on.
"""

from __future__ import annotations

import json

IMAGE = "Dockerfile"
IMAGE_IGNORES = ".dockerignore"
WORKFLOW = "ci/verify.yml"

HEALTH_PORT = 9400
"""Port of the worker's own status pages, on the container's loopback only."""

HEALTH_CHECK = (
    "from http.client import HTTPConnection; "  # it goes through no proxy
    f"c = HTTPConnection('127.0.0.1', {HEALTH_PORT}, timeout=4); "
    "c.request('GET', '/health'); raise SystemExit(c.getresponse().status != 200)"
)
"""Fails unless the worker works, or waits for a server that is down."""

IMAGE_TEXT = f"""\
# The worker $name as an image. In this folder:
#     docker build --tag $project .
# A wheel of streamlab in dist/ is found besides those of the package index.
# SIGTERM reaches the worker, because the entry point is no shell.

FROM python:$python-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/worker
COPY pyproject.toml README.md pipeline.toml schema.yaml dist* ./
COPY $module/ $module/
RUN /opt/worker/bin/pip install --no-cache-dir --find-links . .

FROM python:$python-slim-bookworm
# The worker runs as a user without rights; what it leaves (dead letters in a file,
# its own state) is in its working directory. Mount streamlab.toml there, and a volume
# where that must outlive the container. Secrets come as variables or files at run
# time, by the references of streamlab.toml; never as part of an image.
RUN useradd --uid 10001 --create-home --home-dir /worker worker
COPY --from=build /opt/worker /opt/worker
ENV PATH=/opt/worker/bin:$$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /worker
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \\
    CMD ["python", "-c", {json.dumps(HEALTH_CHECK)}]
ENTRYPOINT ["$name", "--port", "{HEALTH_PORT}"]
"""

IMAGE_IGNORES_TEXT = """\
# Only what the image is built of: no sample, no notebook, no settings.
*
!pyproject.toml
!README.md
!pipeline.toml
!schema.yaml
!dist/*.whl
!$module
**/__pycache__
"""

WORKFLOW_TEXT = """\
# Checks the exported package on each change. No server and no secret is needed: the
# sample is replayed from its bytes. Copy this file to .github/workflows/ of the
# repository that holds the package, and correct the paths if it lies elsewhere:
#     cp ci/verify.yml ../../.github/workflows/$project.yml
name: "$name"

on:
  pull_request:
    paths: ["pipelines/$name/**"]
  push:
    branches: [main]
    paths: ["pipelines/$name/**"]

permissions:
  contents: read

defaults:
  run:
    working-directory: pipelines/$name

jobs:
  verify:
    runs-on: ubuntu-24.04
    timeout-minutes: 15
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "$python"
          cache: pip
          cache-dependency-path: pipelines/$name/pyproject.toml
      # dist/ may hold a wheel of streamlab, where no package index has it.
      - run: pip install --find-links dist/ '.[test]'
      - run: pytest
      - run: streamlab verify . --report report/verify.ipynb
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: report-of-$project
          path: pipelines/$name/report/
"""
