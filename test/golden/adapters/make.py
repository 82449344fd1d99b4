#!/usr/bin/env python3
"""Makes vectors.json from docs/NUMBERS.md 2 and 10 alone: plain integers and floats, nothing of the TypeScript.

    python3 make.py > vectors.json        # any Python >= 3.9, no packages
"""
import json
import math
import struct
import sys

M32 = 0xFFFFFFFF


def philox(k0, k1, c0, c1, c2, c3):
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & M32, (p0 >> 32) ^ c3 ^ k1, p0 & M32
        k0, k1 = (k0 + 0x9E3779B9) & M32, (k1 + 0xBB67AE85) & M32
    return c0, c1, c2, c3


def word(seed, tensor_id, i):
    return philox(0, seed, i >> 2, 8 << 28 | tensor_id, 0, 0xFFFFFFFE)[i & 3]


def uniform(seed, tensor_id, width, i):
    x = (2 * word(seed, tensor_id, i) + 1 - 2**32) / 2**32 / (math.isqrt(width << 32) / 65536)
    return struct.pack('>f', x).hex()


weights = [
    {'seed': seed, 'id': tensor_id, 'width': width, 'first': first, 'weights': [uniform(seed, tensor_id, width, first + i) for i in range(11)]}
    for seed, tensor_id, width, first in [(42, 5, 24, 0), (0, 2**20 - 1, 1, 6), (M32, 0, 2**31 - 1, 4093), (7, 300, 768, 1)]
]
tokens = [
    {'seed': seed, 'vocabulary': v, 'tokens': [word(seed, 0, i) * v >> 32 for i in range(n)]}
    for seed, v, n in [(42, 1024, 5), (1, 50272, 10), (M32, 1, 3), (3, 2**31 - 1, 2)]
]
lines = [f'"{name}": [\n' + ',\n'.join(json.dumps(c, separators=(',', ':')) for c in cases) + '\n]' for name, cases in [('weights', weights), ('tokens', tokens)]]
sys.stdout.write('{\n' + ',\n'.join(lines) + '\n}\n')
