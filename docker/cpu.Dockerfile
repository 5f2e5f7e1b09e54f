# uav-jax for CPUs
FROM python:3.12-slim-bookworm
WORKDIR /opt/uav_jax
COPY pyproject.toml README.md LICENSE ./
COPY uav_jax uav_jax
RUN pip install --no-cache-dir ".[web]" && useradd --create-home user
USER user
WORKDIR /work
EXPOSE 7860
ENTRYPOINT ["uav-jax"]
CMD ["--help"]
