"""What `recommend.py peers` runs in the interpreter that has the peers: an epoch and a full ranking
of one of them, as JSON.

    PYTHON benchmarks/recommend_peers.py cornac|recbole DATA.npz THREADS

With our layers ([I, 600, 200, 600, I], tanh) and batches of 500 users; written for cornac 3.0.1 and
RecBole 1.2.1. It imports nothing of ours.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

LAYERS = {"k": 200, "autoencoder_structure": [600], "act_fn": "tanh", "likelihood": "mult"}


def cornac(data: dict[str, np.ndarray]) -> dict[str, float]:
    """VAECF; the epoch is the difference between fits of eleven epochs and of one."""
    import cornac as library

    train = [
        (str(u), str(i), 1.0) for u, i in zip(data["train_row"], data["train_col"], strict=True)
    ]
    test = [(str(u), str(i), 1.0) for u, i in zip(data["test_row"], data["test_col"], strict=True)]
    split = library.eval_methods.BaseMethod.from_splits(
        train, test, exclude_unknowns=True, verbose=False
    )
    seconds = {}
    for epochs in (1, 11):
        model = library.models.VAECF(
            **LAYERS, n_epochs=epochs, batch_size=500, seed=0, use_gpu=False, verbose=False
        )
        started = time.perf_counter()
        model.fit(split.train_set)
        seconds[epochs] = time.perf_counter() - started
    metrics = [
        library.metrics.Recall(k=20),
        library.metrics.Recall(k=50),
        library.metrics.NDCG(k=100),
    ]
    started = time.perf_counter()
    library.eval_methods.base_method.ranking_eval(
        model, metrics, split.train_set, split.test_set, verbose=False
    )
    return {"epoch": (seconds[11] - seconds[1]) / 10, "ranking": time.perf_counter() - started}


def recbole(data: dict[str, np.ndarray]) -> dict[str, float]:
    """MultiVAE, split in the given way through benchmark files."""
    import torch

    load = torch.load
    torch.load = lambda *args, **kwargs: load(*args, **{"weights_only": False} | kwargs)
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    folder = Path("dataset/sample")
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        pairs = zip(data[f"{part}_row"], data[f"{part}_col"], strict=True)
        lines = ["user_id:token\titem_id:token", *(f"{u}\t{i}" for u, i in pairs)]
        (folder / f"sample.{part}.inter").write_text("\n".join(lines))
    (folder / "sample.valid.inter").write_text((folder / "sample.test.inter").read_text())
    settings = {
        "data_path": "dataset",
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id"]},
        "mlp_hidden_size": [600],
        "latent_dimension": 200,
        "train_batch_size": 500,
        "topk": [20, 50, 100],
        "metrics": ["Recall", "NDCG"],
        "use_gpu": False,
        "show_progress": False,
        "state": "ERROR",
        "eval_args": {"split": None, "order": "RO", "group_by": "user", "mode": "full"},
        "train_neg_sample_args": None,
    }
    sys.argv = sys.argv[:1]
    config = Config(model="MultiVAE", dataset="sample", config_dict=settings)
    init_seed(0, True)
    dataset = create_dataset(config)
    train, _, test = data_preparation(config, dataset)
    model = get_model("MultiVAE")(config, train.dataset).to("cpu")
    trainer = get_trainer(config["MODEL_TYPE"], "MultiVAE")(config, model)
    trainer._train_epoch(train, 0)
    started = time.perf_counter()
    trainer._train_epoch(train, 1)
    epoch = time.perf_counter() - started
    started = time.perf_counter()
    trainer.evaluate(test, load_best_model=False)
    return {"epoch": epoch, "ranking": time.perf_counter() - started}


def main() -> None:
    """Prints the seconds."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("peer", choices=("cornac", "recbole"))
    words.add_argument("data", type=Path, help="train_row, train_col, test_row and test_col")
    words.add_argument("threads", type=int)
    given = words.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    print(json.dumps({"cornac": cornac, "recbole": recbole}[given.peer](dict(np.load(given.data)))))


if __name__ == "__main__":
    main()
