# uav-jax for CPUs
FROM python:3.12-slim-bookworm
WORKDIR /opt/uav_jax
COPY pyproject.toml README.md LICENSE ./
COPY uav_jax uav_jax
# The project itself, whose dependencies are pinned in pyproject.toml.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".[web]" && useradd --uid 1000 --create-home user
USER 1000
WORKDIR /work
EXPOSE 7860
ENTRYPOINT ["uav-jax"]
CMD ["--help"]
