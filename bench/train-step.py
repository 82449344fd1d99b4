"""Training steps in PyTorch on a model of OPT's shape with random weights: forward, backward, clipping, AdamW.

For `bench/train-step.mjs`, which starts it with its settings as JSON and says on stdin when to do what, one JSON object a
line: {"act": "step"} is answered by {"ms": ...}, {"act": "peak"} by {"peak": bytes}. Needs torch and nothing else.

The step is a user's: fused attention, gradients set to None, `clip_grad_norm_`, and AdamW as it is by default or fused.
"""
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


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
    """The head is the embedding."""

    def __init__(self, config):
        super().__init__()
        width = config["hidden_size"]
        self.tokens = nn.Embedding(config["vocab_size"], width)
        self.positions = nn.Embedding(config["max_position_embeddings"] + 2, width)
        block = lambda: Block(width, config["ffn_dim"], config["num_attention_heads"])
        self.blocks = nn.ModuleList(block() for _ in range(config["num_hidden_layers"]))
        self.norm = nn.LayerNorm(width)

    def loss(self, ids):
        inputs, targets = ids[:, :-1], ids[:, 1:]
        x = self.tokens(inputs) + self.positions(torch.arange(inputs.shape[1]) + 2)
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.tokens.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


def peak():
    """Of this process, in bytes. Linux says so itself; elsewhere what `getrusage` knows."""
    try:
        with open("/proc/self/status") as status:
            return 1024 * int(next(line for line in status if line.startswith("VmHWM")).split()[1])
    except OSError:
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main():
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    torch.manual_seed(0)
    model = Opt(asked["config"])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.normal_(std=0.02)
    beta1, beta2, epsilon = asked["beta1"], asked["beta2"], asked["epsilon"]
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=asked["learning_rate"],
        betas=(beta1, beta2),
        eps=epsilon,
        weight_decay=asked["weight_decay"],
        **({"fused": True} if asked["fused"] else {}),
    )
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        if json.loads(line)["act"] == "peak":
            print(json.dumps({"peak": peak()}), flush=True)
            continue
        ids = torch.randint(asked["config"]["vocab_size"], (asked["sequences"], asked["tokens"] + 1))
        began = time.perf_counter()
        optimizer.zero_grad()
        loss = model.loss(ids)
        loss.backward()
        if asked["max_grad_norm"] > 0:
            nn.utils.clip_grad_norm_(model.parameters(), asked["max_grad_norm"])
        optimizer.step()
        loss.item()
        print(json.dumps({"ms": 1000 * (time.perf_counter() - began)}), flush=True)


main()
