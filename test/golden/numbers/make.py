#!/usr/bin/env python3
"""Makes vectors.json from docs/NUMBERS.md alone: plain integers and floats, nothing of the TypeScript.

    python3 make.py > vectors.json        # any Python >= 3.9, no packages
"""
import hashlib
import json
import math
import random
import struct
import sys
from fractions import Fraction

M32 = 0xFFFFFFFF
rng = random.Random(20261)


# ---- encodings of this file
def f64_hex(x):
    return struct.pack('>d', x).hex()


def f32_hex(x):
    return struct.pack('>f', x).hex()


def f32(x):
    return struct.unpack('<f', struct.pack('<f', x))[0]


def i32(x):
    x &= M32
    return x - (1 << 32) if x >> 31 else x


# ---- section 1
def exponent_of(ws):
    """By search, not by bits."""
    peak = max((abs(w) for w in ws), default=0.0)
    e = -27
    while peak > math.ldexp(1.0, 28 + e):
        e += 1
    return e


def quantise(w, e):
    return math.floor(math.ldexp(w, -e) + 0.5)


def weight(q, e):
    return math.ldexp(f32(float(q)), e)


# ---- section 2
def philox(k0, k1, c0, c1, c2, c3):
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & M32, (p0 >> 32) ^ c3 ^ k1, p0 & M32
        k0, k1 = (k0 + 0x9E3779B9) & M32, (k1 + 0xBB67AE85) & M32
    return c0, c1, c2, c3


def block(key, stream, component, tensor_id, number):
    c1 = stream << 28 | component << 20 | tensor_id
    t = key.get('columns', key['round']) if stream == 2 else key['round']
    return philox(t, key['run'], number, c1, key['sample'], key['slot'])


def sign(key, stream, component, tensor_id, i):
    word = block(key, stream, component, tensor_id, i >> 7)[i & 127 & 3]
    return -1 if word >> (31 - ((i & 127) >> 2)) & 1 else 1


def binomial(key, tensor_id, i):
    j = i & 7
    word = block(key, 3, 0, tensor_id, i >> 3)[j & 3]
    return bin(word & 0xFFFF if j < 4 else word >> 16).count('1') - 8


# ---- section 3
def direction(tensor, kind, rank, key):
    tensor_id, shape = tensor['id'], tensor['shape']
    n = math.prod(shape)
    if kind == 'binomial':
        return [binomial(key, tensor_id, i) for i in range(n)]
    if kind == 'lowrank' and len(shape) == 2 and min(shape) > 1:
        rows, columns = shape
        u = [[sign(key, 1, k, tensor_id, i) for i in range(rows)] for k in range(rank)]
        v = [[sign(key, 2, k, tensor_id, j) for j in range(columns)] for k in range(rank)]
        return [sum(u[k][i] * v[k][j] for k in range(rank)) for i in range(rows) for j in range(columns)]
    return [sign(key, 0, 0, tensor_id, i) for i in range(n)]


def element_mask(by, kept, of, tensor, q, run):
    """Whether each element moves."""
    if by == 'random':
        key = {'round': 0, 'run': run, 'sample': 0, 'slot': 0xFFFFFFFE}
        words = [block(key, 6, 1, tensor['id'], i >> 2)[i & 3] for i in range(len(q))]
        return [Fraction(w, 2**32) < Fraction(kept, of) for w in words]
    order = sorted(range(len(q)), key=lambda i: (abs(q[i]), i))
    chosen = set(order[: math.ceil(Fraction(len(q) * kept, of))])
    return [i in chosen for i in range(len(q))]


def direction_key(lazy, directions, t, run, record):
    if 'pool' in directions:
        w = block({'round': t, 'run': run, 'sample': record, 'slot': 0xFFFFFFFE}, 10, 0, 0, 0)[0]
        return {'round': 0, 'run': run, 'sample': w * directions['pool'] >> 32, 'slot': 0xFFFFFFFF}
    sample = record % directions['shared'] if 'shared' in directions else record
    key = {'round': t, 'run': run, 'sample': sample, 'slot': 0xFFFFFFFE}
    return {**key, 'columns': t // lazy * lazy} if lazy else key


def mask(kept, of, ids, t, run):
    key = {'round': t, 'run': run, 'sample': 0, 'slot': 0xFFFFFFFE}
    words = {i: block(key, 6, 0, 0, i >> 2)[i & 3] for i in ids}
    return sorted(sorted(ids, key=lambda i: (words[i], i))[: math.ceil(Fraction(len(ids) * kept, of))])


# ---- sections 4 and 5
def encode(g, scale, clip):
    if math.isnan(g) or math.isinf(g):
        return -128
    x = g / (scale * 2.0**-32) + 0.5
    return max(-clip, min(clip, clip if math.isinf(x) and x > 0 else -clip if math.isinf(x) else math.floor(x)))


def lower_median(values):
    return sorted(values)[(len(values) - 1) // 2]


def next_scale(rounds):
    """rounds: [{scale, clip, codes}], oldest first."""
    s, seen, taken = rounds[-1]['scale'], [], 0
    for r in reversed(rounds):
        if len(seen) >= 64 or taken == 16:
            break
        taken += 1
        seen += [min(abs(c), r['clip']) * r['scale'] for c in r['codes'] if c != -128]
    if not seen:
        return s
    target = lower_median(seen) // 32
    target = max(-(-s // 2), min(2 * s, target))
    return max(1, min(2**45, target))


# ---- section 6
def cosine(d, m):
    f = min(d, m - d)
    x = (3.141592653589793 * f) / m
    y = x * x
    s = 1.0
    for k in range(10, 0, -1):
        s = 1 - (s * y) / ((2 * k - 1) * (2 * k))
    return s if f == d else -s


def rate(rules, t):
    lr, last, warm = rules['learning_rate'], rules['max_steps'], rules['warmup_steps']
    if t < warm:
        return (lr * (t + 1)) / warm
    if rules['lr_scheduler_type'] == 'constant':
        return lr
    if t >= last:
        return 0.0
    if rules['lr_scheduler_type'] == 'linear':
        return (lr * (last - t)) / (last - warm)
    return (lr * (1 + cosine(t - warm, last - warm))) / 2


def gain(rules, t, n):
    if n == 0:
        return 0.0
    divisor = {'mean': n, 'sqrt': math.isqrt(n << 32) / 65536, 'sum': 1}[rules['reduction']]
    return (rate(rules, t) * rules['scale']) / divisor


def coefficient(g, scale, clip, code, e, r):
    if code == -128:
        return 0
    code = max(-clip, min(clip, code))
    step = g * (scale * 2.0**-32)
    x = -(step * code) * 2.0**-e
    if abs(x) >= 2**30:
        return 2**30 if x > 0 else -(2**30)
    return math.floor(x) + (1 if r < (x - math.floor(x)) * 2**32 else 0)


# ---- sections 7 and 8
def permutation(n, epoch, run):
    a = list(range(n))
    for i in range(n - 1, 0, -1):
        w = philox(epoch, run, i >> 2, 7 << 28, 0, 0)[i & 3]
        j = w * (i + 1) >> 32
        a[i], a[j] = a[j], a[i]
    return a


def multipliers(x):
    x &= M32
    a = (x ^ x >> 16) * 0x85EBCA6B & M32
    a ^= a >> 13
    b = a * 0xC2B2AE35 & M32
    b ^= b >> 16
    return a, b


def checksum(q, key, offset):
    low = high = 0
    for i, x in enumerate(q):
        a, b = multipliers((offset + i) * 0x9E3779B1 + key)
        low, high = low + x * (a | 1), high + x * (b | 1)
    return {'low': low & M32, 'high': high & M32, 'peak': max(map(abs, q), default=0)}


def as_bytes(q):
    return struct.pack(f'<{len(q)}i', *q)


def root(tensors):
    level = [
        hashlib.sha256(b'\0' + as_bytes(q[i : i + 65536])).digest() for q in tensors for i in range(0, len(q), 65536)
    ]
    while len(level) > 1:
        level = [
            hashlib.sha256(b'\1' + level[i] + level[i + 1]).digest() if i + 1 < len(level) else level[i]
            for i in range(0, len(level), 2)
        ]
    return level[0].hex()


# ---- cases
def u32():
    return rng.choice([rng.randrange(2**32), rng.randrange(300), M32])


def any_key():
    return {'round': u32(), 'run': u32(), 'sample': rng.randrange(99), 'slot': rng.choice([0xFFFFFFFE, rng.randrange(9)])}


def any_c():
    return rng.choice([rng.randint(-(2**30), 2**30), rng.randint(-70000, 70000), 2**30, -(2**30), 32768, -32768])


def pattern(n, salt):
    """Deterministic i32 that a reader makes again: q_i = i32((i + salt) · 2654435761)."""
    return [i32((i + salt) * 2654435761) for i in range(n)]


def philox_cases():
    cases = [[[0, 0], [0, 0, 0, 0]], [[M32, M32], [M32] * 4]]
    cases.append([[0xA4093822, 0x299F31D0], [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]])
    return [{'key': k, 'counter': c, 'words': list(philox(*k, *c))} for k, c in cases]


def noise_cases():
    small = [
        ({'id': 0, 'shape': [40]}, 'rademacher', 1),
        ({'id': 77, 'shape': [300]}, 'lowrank', 2),
        ({'id': 2**20 - 1, 'shape': [50]}, 'binomial', 1),
        ({'id': 5, 'shape': [6, 9]}, 'lowrank', 1),
        ({'id': 5, 'shape': [3, 140]}, 'lowrank', 3),
        ({'id': 12, 'shape': [7, 1]}, 'lowrank', 2),
        ({'id': 13, 'shape': [2, 3, 4]}, 'lowrank', 2),
    ]
    for tensor, kind, rank in small:
        key = any_key()
        yield {'tensor': tensor, 'kind': kind, 'rank': rank, 'key': key, 'z': direction(tensor, kind, rank, key)}


def fixed_cases():
    lists = [
        [0.0, -0.0],
        [2.0, -1.5, 2.0**-28, -(2.0**-28), 2.0**-29, -3 * 2.0**-28, 1e-40],
        [f32(2.0000002), -0.1, 0.3],
        [1024.0, -1023.9999],
        [f32(3e38), 1.0, 2.0**75, -3 * 2.0**70],
        [rng.gauss(0, 0.02) for _ in range(20)],
        [rng.gauss(0, 50) for _ in range(20)],
    ]
    for ws in lists:
        ws = [f32(w) for w in ws]
        e = exponent_of(ws)
        qs = [quantise(w, e) for w in ws]
        yield {
            'weights': [f32_hex(w) for w in ws],
            'exponent': e,
            'q': qs,
            'back': [f32_hex(weight(q, e)) for q in qs],
        }


def pair_cases():
    for kind, rank, shape in [('rademacher', 1, [11]), ('binomial', 1, [21]), ('lowrank', 1, [3, 5]), ('lowrank', 4, [4, 5])]:
        tensor, key, e = {'id': rng.randrange(2**20), 'shape': shape}, any_key(), rng.randint(-27, -20)
        delta = f32(rng.choice([1e-3, 0.01, 3.3e-4]))
        q = [rng.randint(-(2**30), 2**30) for _ in range(math.prod(shape))]
        z = direction(tensor, kind, rank, key)
        both = [[f32(weight(x, e) + s * f32(delta * n)) for x, n in zip(q, z)] for s in (1, -1)]
        yield {
            'tensor': tensor, 'kind': kind, 'rank': rank, 'key': key, 'exponent': e, 'delta': f64_hex(delta), 'q': q,
            'plus': [f32_hex(x) for x in both[0]], 'minus': [f32_hex(x) for x in both[1]],
        }  # fmt: skip


def byte_cases():
    for _ in range(24):
        scale, clip = rng.choice([1, 2**45, rng.randrange(1, 2**40), 2**26]), rng.choice([127, 127, 64, 1])
        unit = scale * 2.0**-32
        g = rng.choice([rng.gauss(0, 60) * unit, 0.5 * unit, -0.5 * unit, 126.5 * unit, 1e300, -1e300, 0.0])
        yield {'slope': f64_hex(g), 'scale': scale, 'clip': clip, 'code': encode(g, scale, clip)}
    for g in (math.nan, math.inf, -math.inf):
        yield {'slope': f64_hex(g), 'scale': 7, 'clip': 127, 'code': -128}


def scale_cases():
    for start, clip, make in [
        (2**26, 127, lambda: [rng.randint(-127, 127) for _ in range(16)]),
        (3, 127, lambda: [0] * 8),
        (2**45 - 5, 100, lambda: [127] * 70),
        (12345, 127, lambda: [rng.choice([-128, 5, -9, 40]) for _ in range(rng.randrange(5))]),
    ]:
        rounds, scales = [], [start]
        for _ in range(20):
            rounds.append({'scale': scales[-1], 'clip': clip, 'codes': make()})
            scales.append(next_scale(rounds))
        yield {'initial': start, 'clip': clip, 'codes': [r['codes'] for r in rounds], 'scales': scales[1:]}


def header_cases():
    for schedule in ('constant', 'linear', 'cosine'):
        for reduction in ('mean', 'sqrt', 'sum'):
            rules = {
                'learning_rate': rng.choice([1e-3, 3e-4, 0.1]), 'lr_scheduler_type': schedule, 'max_steps': 103,
                'warmup_steps': rng.choice([0, 7]), 'reduction': reduction, 'scale': rng.choice([1, 0.5, 0.7071067811865476]),
            }  # fmt: skip
            rounds = [[t, rng.choice([0, 1, 2, 3, 64, 1000003, rng.randrange(1, 300)])] for t in (0, 3, 7, 30, 54, 55, 80, 102, 103, 500)]
            yield {**rules, 'gains': [[t, n, f64_hex(gain(rules, t, n))] for t, n in rounds]}


def coefficient_cases():
    for _ in range(60):
        g = rng.choice([1e-3, 1e-3 / 64, 0.3, -2e-4, 0.0, 1e9, rng.random() * 1e-4])
        scale, clip, e = rng.choice([1, 2**45, 2**27, rng.randrange(1, 2**36)]), rng.choice([127, 100]), rng.randint(-27, 3)
        code, r = rng.choice([rng.randint(-128, 127), -128, 1, -1]), rng.choice([0, M32, rng.randrange(2**32)])
        yield {
            'gain': f64_hex(g), 'scale': scale, 'clip': clip, 'code': code, 'exponent': e, 'word': r,
            'c': coefficient(g, scale, clip, code, e, r),
        }  # fmt: skip


def rounding_cases():
    for _ in range(4):
        key, tensor_id = any_key(), rng.randrange(2**20)
        yield {'key': key, 'id': tensor_id, 'word': block(key, 4, 0, tensor_id, 0)[0]}


def apply_cases():
    for kind, rank, shape, count in [
        ('rademacher', 1, [1030], 5), ('binomial', 1, [33, 31], 3), ('lowrank', 1, [13, 37], 35), ('lowrank', 3, [130, 9], 7),
        ('lowrank', 2, [600], 2),
    ]:  # fmt: skip
        tensor, salt = {'id': rng.randrange(2**20), 'shape': shape}, rng.randrange(1000)
        q = pattern(math.prod(shape), salt)
        terms = [{'key': any_key(), 'c': any_c()} for _ in range(count)]
        for term in terms:
            z = direction(tensor, kind, rank, term['key'])
            q = [i32(x + term['c'] * n) for x, n in zip(q, z)]
        yield {
            'tensor': tensor, 'kind': kind, 'rank': rank, 'salt': salt, 'terms': terms,
            'head': q[:4], 'sha256': hashlib.sha256(as_bytes(q)).hexdigest(),
        }  # fmt: skip


def order_cases():
    for n in (1, 2, 5, 23, 100):
        epoch, run = rng.randrange(5), u32()
        yield {'n': n, 'epoch': epoch, 'run': run, 'order': permutation(n, epoch, run)}


def checksum_cases():
    for n in (1, 4, 1027):
        key, offset, salt = u32(), rng.choice([0, 65536, 2**32 - 2, 2**33 + 1]), rng.randrange(1000)
        yield {'n': n, 'salt': salt, 'key': key, 'offset': offset, **checksum(pattern(n, salt), key, offset)}


def key_cases():
    for t, run in ((0, 0), (1, 0xDEADBEEF), (M32, 5)):
        yield {'round': t, 'run': run, 'key': multipliers(multipliers(t)[1] ^ run)[1]}


def root_cases():
    for lengths in ([1], [65536, 3], [65537, 65536, 10], [1, 2, 3, 4, 5, 6, 7]):
        yield {'lengths': lengths, 'root': root([pattern(n, k) for k, n in enumerate(lengths)])}


def mask_cases():
    for kept, of, ids in [
        (1, 4, range(21)), (1, 2**20, range(9)), (2**20 - 1, 2**20, range(9)), (2, 3, [2**20 - 1, 0, 7, 5]), (1, 3, [4]),
    ]:  # fmt: skip
        for _ in range(2):
            t, run = u32(), u32()
            yield {'mask': {'kept': kept, 'of': of}, 'ids': list(ids), 'round': t, 'run': run, 'kept': mask(kept, of, ids, t, run)}


def lazy_cases():
    for tensor, rank in [({'id': 5, 'shape': [6, 140]}, 2), ({'id': 9, 'shape': [3, 7]}, 1), ({'id': 77, 'shape': [40]}, 2)]:
        key = {**any_key(), 'columns': u32()}
        yield {'tensor': tensor, 'kind': 'lowrank', 'rank': rank, 'key': key, 'z': direction(tensor, 'lowrank', rank, key)}


def key_of_record_cases():
    for lazy, directions in [(0, {}), (50, {}), (0, {'pool': 4096}), (7, {'pool': 1}), (0, {'shared': 5}), (3, {'shared': 2})]:
        for _ in range(3):
            t, run, record = rng.choice([0, rng.randrange(500), M32]), u32(), rng.randrange(65536)
            yield {'lazy': lazy, 'directions': directions, 'round': t, 'run': run, 'record': record,
                   'key': direction_key(lazy, directions, t, run, record)}  # fmt: skip


def element_mask_cases():
    for by, kept, of, n in [
        ('random', 1, 5, 300), ('random', 2**20 - 1, 2**20, 40), ('magnitude', 1, 5, 300), ('magnitude', 2, 3, 10), ('magnitude', 1, 2, 7),
    ]:  # fmt: skip
        tensor, run = {'id': rng.randrange(2**20), 'shape': [n]}, u32()
        q = [rng.choice([rng.randint(-9, 9), rng.randint(-(2**28), 2**28), 3 << 15, -(3 << 15)]) for _ in range(n)]
        moved = element_mask(by, kept, of, tensor, q, run)
        key, c = any_key(), any_c()
        z = direction(tensor, 'binomial', 1, key)
        yield {'mask': {'by': by, 'kept': kept, 'of': of}, 'tensor': tensor, 'run': run, 'q': q, 'key': key, 'c': c,
               'moved': ''.join('01'[m] for m in moved),
               'applied': [i32(x + c * n) if m else x for x, n, m in zip(q, z, moved)]}  # fmt: skip


def scalars(rule, f, shared, clip, segments):
    heard = {}  # direction -> slot -> codes
    for seg in segments:
        for i, code in enumerate(seg['codes'], seg['from']):
            if code != -128:
                heard.setdefault(i % shared, {}).setdefault(seg['slot'], []).append(max(-clip, min(clip, code)))
    votes = {j: {p: sum(c) / len(c) for p, c in by.items()} for j, by in sorted(heard.items()) if len(by) > 2 * f}

    def median(j):
        v = sorted(votes[j].values())
        return (v[(len(v) - 1) // 2] + v[len(v) // 2]) / 2

    def in_order(values):
        total = 0.0
        for value in values:
            total += value
        return total

    slots = sorted({p for by in votes.values() for p in by})

    def distance(p):
        own = [j for j in votes if p in votes[j]]
        return in_order((votes[j][p] - median(j)) * (votes[j][p] - median(j)) for j in own) / len(own)

    out = sorted(slots, key=lambda p: (-distance(p), -p))[:f]
    result = []
    for j, by in votes.items():
        if rule == 'median':
            a = median(j)
        elif rule == 'trimmed_mean':
            v = sorted(by.values())[f:len(by) - f]
            a = in_order(v) / len(v)
        else:
            v = [by[p] for p in sorted(by) if p not in out]
            a = in_order(v) / len(v) if v else 0.0
        result.append({'direction': j, 'amount': f64_hex(a * sum(map(len, heard[j].values())))})
    return result


def scalar_cases():
    for rule in ['median', 'trimmed_mean', 'nna']:
        for f, shared, clip, lengths in [(1, 5, 127, [5, 5, 5]), (2, 3, 90, [7, 4, 3, 9, 1, 6]), (1, 4, 127, [3, 2, 4, 1]), (3, 1, 127, [1] * 7)]:
            order = rng.sample(range(40), len(lengths))
            segments, start = [], 0
            for slot, n in zip(order, lengths):
                codes = [rng.choice([rng.randint(-127, 127), rng.randint(-30, 30), -128]) for _ in range(n)]
                segments.append({'slot': slot, 'from': start, 'codes': codes})
                start += n
            yield {'rule': rule, 'byzantine': f, 'shared': shared, 'clip': clip, 'segments': segments,
                   'scalars': scalars(rule, f, shared, clip, segments)}  # fmt: skip


CASES = {
    'philox': philox_cases, 'noise': noise_cases, 'fixed': fixed_cases, 'pair': pair_cases, 'byte': byte_cases,
    'scale': scale_cases, 'header': header_cases, 'coefficient': coefficient_cases, 'rounding': rounding_cases,
    'apply': apply_cases, 'order': order_cases, 'checksum': checksum_cases, 'checksumKey': key_cases, 'root': root_cases,
    'mask': mask_cases, 'lazy': lazy_cases, 'keyOfRecord': key_of_record_cases, 'elementMask': element_mask_cases,
    'scalars': scalar_cases,
}  # fmt: skip

lines = []
for name, cases in CASES.items():
    rows = ',\n'.join('  ' + json.dumps(case, separators=(',', ':')) for case in cases())
    lines.append(f'"{name}": [\n{rows}\n]')
sys.stdout.write('{\n' + ',\n'.join(lines) + '\n}\n')
