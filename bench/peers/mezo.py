"""One MeZO step in PyTorch, as the paper's code takes it, on a model of OPT's shape with random weights.

For `bench/peers.mjs`, which starts it and says on stdin when to take a step: one JSON object a line,
{"dtype": "fp32", "sequences": 16, "tokens": 64, "act": "step"}, answered by {"ms": ...}. Needs torch and nothing else.

The step (Malladi et al. 2023, Algorithm 1 and the authors' trainer): seed, theta += eps z, loss, theta -= 2 eps z, loss,
theta += eps z, then theta -= lr g z with the same z again. z is drawn tensor by tensor with torch.normal. Tuned as a user
would: inference mode, in-place updates, fused attention, a set number of threads.
"""
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

EPS = 1e-3
LEARNING_RATE = 1e-6
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Block(nn.Module):
    def __init__(self, width, inner, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x):
        sequences, tokens, width = x.shape
        split = lambda y: y.view(sequences, tokens, self.heads, -1).transpose(1, 2)
        h = self.attention_norm(x)
        h = F.scaled_dot_product_attention(split(self.q(h)), split(self.k(h)), split(self.v(h)), is_causal=True)
        x = x + self.out(h.transpose(1, 2).reshape(sequences, tokens, width))
        return x + self.fc2(F.relu(self.fc1(self.norm(x))))


class Opt(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["hidden_size"]
        self.tokens = nn.Embedding(config["vocab_size"], width)
        self.positions = nn.Embedding(config["max_position_embeddings"] + 2, width)
        block = lambda: Block(width, config["ffn_dim"], config["num_attention_heads"])
        self.blocks = nn.ModuleList(block() for _ in range(config["num_hidden_layers"]))
        self.norm = nn.LayerNorm(width)

    def loss(self, ids):
        """Mean over all tokens but the first; the head is the embedding, and logits are float32 as in transformers."""
        inputs, targets = ids[:, :-1], ids[:, 1:]
        x = self.tokens(inputs) + self.positions(torch.arange(inputs.shape[1]) + 2)
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.tokens.weight).float()
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


def perturb(model, seed, scale):
    torch.manual_seed(seed)
    for parameter in model.parameters():
        z = torch.normal(mean=0, std=1, size=parameter.shape, dtype=parameter.dtype)
        parameter.add_(z, alpha=scale)


def step(model, ids, seed):
    perturb(model, seed, EPS)
    above = model.loss(ids).item()
    perturb(model, seed, -2 * EPS)
    below = model.loss(ids).item()
    perturb(model, seed, EPS)
    slope = (above - below) / (2 * EPS)
    # The update draws z once more; a fixed size keeps random weights from running away.
    perturb(model, seed, -LEARNING_RATE * max(-1.0, min(1.0, slope)))


def forwards(model, ids, _seed):
    model.loss(ids).item()
    model.loss(ids).item()


ACTS = {"step": step, "forwards": forwards}


def main():
    config, threads = json.loads(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    models = {}
    print(json.dumps({"torch": torch.__version__}), flush=True)
    with torch.inference_mode():
        for seed, line in enumerate(sys.stdin):
            asked = json.loads(line)
            name = asked["dtype"]
            if name not in models:
                models[name] = Opt(config).to(DTYPES[name])
                for parameter in models[name].parameters():
                    if parameter.dim() == 2:
                        parameter.normal_(std=0.02)
            ids = torch.randint(config["vocab_size"], (asked["sequences"], asked["tokens"] + 1))
            began = time.perf_counter()
            ACTS[asked["act"]](models[name], ids, seed)
            print(json.dumps({"ms": 1000 * (time.perf_counter() - began)}), flush=True)


main()
