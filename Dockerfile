# A server of runs: docker build -t lowerbound . ; docs/serve.md and docs/install.md say how it is run.
FROM python:3.11-slim AS build

# The build of PyTorch for the CPU. Another index, such as .../whl/cu126, gives one for a GPU.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

WORKDIR /source
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# What changes seldom comes first, so that a change of the sources installs little anew.
COPY constraints.txt ./
RUN python -m venv /opt/lowerbound \
 && /opt/lowerbound/bin/python -m pip install --constraint constraints.txt --index-url "$TORCH_INDEX" torch

COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/lowerbound/bin/python -m pip install --constraint constraints.txt '.[serve,export,hub]'


FROM python:3.11-slim

RUN useradd --create-home --uid 1000 lowerbound \
 && install --directory --owner lowerbound --group lowerbound /runs
COPY --from=build /opt/lowerbound /opt/lowerbound

ENV PATH=/opt/lowerbound/bin:$PATH PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /home/lowerbound
VOLUME /runs
EXPOSE 8000

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]

# All runs of the volume. Whoever asks from outside the container needs the token: set LOWERBOUND_TOKEN.
CMD ["sh", "-c", "exec lowerbound serve /runs/*/ --host 0.0.0.0 --port 8000"]
