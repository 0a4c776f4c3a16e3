"""One thread: two on a busy machine are slower."""

import torch

torch.set_num_threads(1)
