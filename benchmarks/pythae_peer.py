"""What `training.py` runs in the interpreter that has Pythae: epochs of its trainer on a published
model's layers.

    PYTHON benchmarks/pythae_peer.py aevb-mnist|conv-mnist [--steps 200] [--threads N] [--device
    cpu]

Written for Pythae 0.1.2: encoder and decoder are given as its documentation shows, the loss is its
binary cross entropy, the optimiser that of the published system. The data are random images of
MNIST's shape, in memory as floats, as many as the steps of one epoch need. It prints one line of
JSON when it is ready, and for each line of its input the seconds of a step in another epoch of
training alone. It imports nothing of lowerbound.
"""

import argparse
import tempfile
import time
from importlib.metadata import version

import torch

from common import serve
from published import SYSTEMS, System


def trainer(system: System, steps: int, device: str, folder: str):
    """Pythae's trainer, ready for its first epoch."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self, layers: torch.nn.Module) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, x: torch.Tensor) -> ModelOutput:
            mean, log_variance = self.layers(x)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self, layers: torch.nn.Module) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, z: torch.Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layers(z))

    published = system.model()
    settings = VAEConfig(input_dim=(1, 28, 28), latent_dim=2, reconstruction_loss="bce")
    model = VAE(settings, encoder=Encoder(published.encoder), decoder=Decoder(published.decoder))
    config = BaseTrainerConfig(
        output_dir=folder,
        num_epochs=1,
        learning_rate=system.learning_rate,
        per_device_train_batch_size=system.batch_size,
        optimizer_cls=system.optimizer,
        no_cuda=device == "cpu",
    )
    images = torch.rand(steps * system.batch_size, 1, 28, 28)
    found = BaseTrainer(
        model, BaseDataset(images, torch.zeros(len(images))), training_config=config
    )
    found.prepare_training()
    return found


def main() -> None:
    """Serves the steps of Pythae."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("recipe", choices=[name for name in SYSTEMS if name != "hierarchical-mnist"])
    words.add_argument("--steps", type=int, default=200)
    words.add_argument("--threads", type=int, default=1)
    words.add_argument("--device", default="cpu")
    given = words.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        found = trainer(SYSTEMS[given.recipe], given.steps, given.device, folder)

        def step() -> float:
            started = time.perf_counter()
            found.train_step(1)  # which waits for each loss, and so for the device
            return (time.perf_counter() - started) / given.steps

        serve(step, pythae=version("pythae"), torch=torch.__version__)


if __name__ == "__main__":
    main()
