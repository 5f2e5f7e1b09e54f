"""Trains a stage of the model.

python train.py configs/small/image_autoencoder.py --workdir runs/image_autoencoder
python train.py configs/small/image_unet.py --workdir runs/image_unet --set steps=3000
python train.py configs/unet_temporal.py --dry-run --devices 16
python train.py configs/unet_temporal.py --aot v5e:4x4
"""

import sys

from uav_jax.training.cli import main

if __name__ == "__main__":
    sys.exit(main())
