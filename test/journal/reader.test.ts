import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { JournalReader, type JournalRecord, readJournal, verifyJournal } from '../../src/journal/reader.ts';
import { encodeRecord, FILE_HEADER, frame, lengthCheck } from '../../src/journal/record.ts';
import type { Entry } from '../../src/nouns.ts';
import { concatBytes } from '../../src/numeric/bytes.ts';
import { crc32c } from '../../src/numeric/crc32c.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { bytesFrom, ENTRIES, journalOf, MANIFEST, memoised, SECRET } from './fixture.ts';

const crypto = memoised(nodeCrypto);
let bytes: Uint8Array;
let records: readonly JournalRecord[];
const LAST = ENTRIES.length - 1;

beforeAll(async () => {
  bytes = await journalOf();
  records = readJournal(bytes, crypto).records;
});

const faultOf = (act: () => unknown): { code: string; message: string } => {
  try {
    act();
  } catch (error) {
    return error as { code: string; message: string };
  }
  return { code: 'NONE', message: '' };
};
/** The record that holds byte `at`; -1 is the file header. */
const recordAt = (at: number) => records.findLastIndex(({ offset }) => offset <= at);

/** Makes checksum and length right again, as a forger would. */
const reframed = (record: Uint8Array): Uint8Array => {
  const forged = record.slice();
  const view = new DataView(forged.buffer);
  const length = forged.length - 8;
  forged.set([length & 255, (length >> 8) & 255, length >> 16]);
  forged[3] = lengthCheck(forged.subarray(0, 3));
  view.setUint32(4, crc32c(forged.subarray(8)), true);
  return forged;
};

describe('a whole journal', () => {
  test('gives back its entries, offsets and state', () => {
    const read = verifyJournal(bytes, crypto);
    expect(read.records.map(({ entry }) => entry)).toEqual(ENTRIES);
    expect(concatBytes(FILE_HEADER, ...read.records.map((record) => record.bytes))).toEqual(bytes);
    for (const { offset, bytes: own } of read.records) expect(bytes.slice(offset, offset + own.length)).toEqual(own);
    const { position } = read;
    expect(position).toMatchObject({ index: ENTRIES.length, length: bytes.length, head: records[LAST]!.hash });
    expect(position.state).toMatchObject({ manifest: MANIFEST, rounds: 2, nextSlot: 2 });
    expect([...position.state!.members.keys()]).toEqual([1]);
  });

  test('is anchored at its last round, whatever was noted since', () => {
    const anchors = [0, 1, 4, 5, 6, 7].map((i) => {
      const end = records[i]!.offset + records[i]!.bytes.length;
      return records.findIndex(({ hash }) => hash === readAnchor(end) || String(hash) === String(readAnchor(end)));
    });
    expect(anchors).toEqual([0, 0, 4, 4, 6, 6]);
  });
  const readAnchor = (end: number) => readJournal(bytes.subarray(0, end), crypto).position.anchor;

  test('must be of the run that is asked for', () => {
    const { run } = readJournal(bytes, crypto).position;
    expect(verifyJournal(bytes, crypto, run).torn).toBeNull();
    expect(faultOf(() => verifyJournal(bytes, crypto, bytesFrom(0, 32)))).toMatchObject({ code: 'JOURNAL_FOREIGN' });
  });
});

describe('damage', () => {
  test('any change of any one byte is found, and its record named', () => {
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [1, 2, 4, 8, 16, 32, 64, 128, 255]) {
        const damaged = bytes.with(at, bytes[at]! ^ flip);
        const { code, message } = faultOf(() => verifyJournal(damaged, crypto));
        const index = recordAt(at);
        if (index < 0) expect(code, `byte ${at}`).toBe('JOURNAL_FOREIGN');
        else expect(message, `byte ${at} ^ ${flip}`).toContain(`record ${index} at byte ${records[index]!.offset} `);
      }
    }
  });

  test('before the last record it is refused on opening too: nothing acknowledged is cut', () => {
    for (let at = 8; at < bytes.length; at++) {
      for (const flip of [1, 128]) {
        const { code } = faultOf(() => readJournal(bytes.with(at, bytes[at]! ^ flip), crypto));
        if (recordAt(at) < LAST) expect(code, `byte ${at}`).toBe('JOURNAL_CORRUPT');
      }
    }
  });

  test('no change inside one byte of a length passes its check', () => {
    fc.assert(
      fc.property(fc.nat(0xff_ffff), (length) => {
        const own = Uint8Array.of(length & 255, (length >> 8) & 255, length >> 16);
        for (let at = 0; at < 3; at++) {
          for (let flip = 1; flip < 256; flip++) {
            if (lengthCheck(own.with(at, own[at]! ^ flip)) === lengthCheck(own)) throw new RangeError(`${at} ${flip}`);
          }
        }
      }),
      { numRuns: 20 },
    );
  });

  test('every truncation is torn at the record it cuts; at a boundary it is a shorter journal', () => {
    for (let length = 0; length < bytes.length; length++) {
      const { records: whole, position, torn } = readJournal(bytes.subarray(0, length), crypto);
      const index = Math.max(0, recordAt(length));
      const boundary = length === 8 || records[index]!.offset === length;
      if (boundary) expect(torn, `${length}`).toBeNull();
      else expect(torn, `${length}`).toMatchObject({ index, offset: length < 8 ? 0 : records[index]!.offset });
      expect(whole.length, `${length}`).toBe(index);
      expect(position.length, `${length}`).toBe(length < 8 ? 0 : records[index]!.offset);
      const { code } = faultOf(() => verifyJournal(bytes.subarray(0, length), crypto));
      expect(code, `${length}`).toBe(boundary && length > 8 ? 'NONE' : 'JOURNAL_TORN');
    }
  });

  test('an append that left zeros behind is torn, from its first byte or from any later one', () => {
    const { offset } = records[LAST]!;
    for (let kept = offset; kept < bytes.length; kept++) {
      const zeroed = concatBytes(bytes.subarray(0, kept), new Uint8Array(bytes.length - kept));
      if (String(zeroed) === String(bytes)) continue;
      expect(readJournal(zeroed, crypto).torn, `${kept}`).toMatchObject({ index: LAST, offset });
    }
    expect(readJournal(new Uint8Array(4096), crypto)).toMatchObject({ records: [], torn: { offset: 0 } });
  });

  test('another file, another version, and random bytes are refused', () => {
    expect(faultOf(() => readJournal(new TextEncoder().encode('{"a": 1}\n'), crypto)).code).toBe('JOURNAL_FOREIGN');
    expect(faultOf(() => readJournal(bytes.with(6, 2), crypto)).message).toContain('format version 2');
    const known = ['JOURNAL_CORRUPT', 'JOURNAL_FOREIGN', 'JOURNAL_ORDER', 'SIGNATURE_WRONG', 'NONE'];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (random, header) => {
        const file = header ? concatBytes(FILE_HEADER, random) : random;
        expect(known).toContain(faultOf(() => readJournal(file, crypto)).code);
      }),
      { numRuns: 1000 },
    );
  });

  test('random bodies behind right checksums never crash it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.uint8Array({ maxLength: 200 }), (type, body) => {
        const record = reframed(concatBytes(new Uint8Array(8), Uint8Array.of(type), body, new Uint8Array(64)));
        const { code } = faultOf(() => readJournal(concatBytes(FILE_HEADER, record), crypto));
        expect(['JOURNAL_CORRUPT', 'JOURNAL_ORDER']).toContain(code);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('forgery, with every checksum made right', () => {
  const parts = () => [FILE_HEADER, ...records.map((record) => record.bytes)];
  const verdict = (file: readonly Uint8Array[]) => faultOf(() => verifyJournal(concatBytes(...file), crypto));

  test('a changed byte of a body or a signature is refused at its record', () => {
    for (const index of [1, 4, LAST]) {
      const { bytes: record } = records[index]!;
      for (let at = 8; at < record.length; at++) {
        const file = parts();
        file[index + 1] = reframed(record.with(at, record[at]! ^ 1));
        const { code, message } = verdict(file);
        expect(['SIGNATURE_WRONG', 'JOURNAL_CORRUPT'], `${index} ${at}`).toContain(code);
        expect(message).toContain(`record ${index} at byte`);
      }
    }
  });

  test('a record left out, doubled, or moved is refused where the chain breaks', () => {
    for (let index = 1; index < LAST; index++) {
      expect(verdict(parts().toSpliced(index + 1, 1)), `left out ${index}`).toMatchObject({ code: 'SIGNATURE_WRONG' });
      const doubled = verdict(parts().toSpliced(index + 1, 0, records[index]!.bytes));
      expect(doubled.code).toBe('SIGNATURE_WRONG');
      expect(doubled.message).toContain(`record ${index + 1} at byte`);
    }
  });

  test('a record signed by another key is refused', () => {
    const { hash } = records[0]!;
    const foreign = encodeRecord(ENTRIES[1]!, hash, nodeCrypto, bytesFrom(9, 32));
    expect(verdict([FILE_HEADER, records[0]!.bytes, foreign])).toMatchObject({ code: 'SIGNATURE_WRONG' });
  });

  test('a record signed rightly that breaks the order is refused', () => {
    const file = (entry: Entry) => [...parts(), encodeRecord(entry, records[LAST]!.hash, nodeCrypto, SECRET)];
    expect(verdict(file(ENTRIES[6]!))).toMatchObject({ code: 'JOURNAL_ORDER' });
    expect(verdict(file({ type: 'digest', round: 2, root: bytesFrom(0, 32) })).code).toBe('NONE');
  });

  test('a frame with an impossible length is damaged, not torn', () => {
    for (const length of [0, 64, (1 << 20) - 7]) {
      const header = Uint8Array.of(length & 255, (length >> 8) & 255, length >> 16, 0, 0, 0, 0, 0);
      header[3] = lengthCheck(header.subarray(0, 3));
      expect(frame(header), `${length}`).toMatchObject({ kind: 'damaged' });
    }
  });
});

describe('a growing journal', () => {
  test('reads the same in any pieces, brought again from where a record began', () => {
    const reader = new JournalReader(crypto);
    const entries: Entry[] = [];
    for (let end = 0; end <= bytes.length; end++) {
      entries.push(...reader.read(bytes.subarray(reader.position.length, end)).map(({ entry }) => entry));
    }
    expect(entries).toEqual(ENTRIES);
    expect(reader.position).toEqual(readJournal(bytes, crypto).position);
  });

  test('takes records one by one after the file, and stays where it was when one is refused', () => {
    const reader = new JournalReader(crypto, readJournal(bytes, crypto).position.run);
    reader.read(bytes.subarray(0, records[3]!.offset));
    expect(reader.position.index).toBe(3);
    const bad: [Uint8Array, string][] = [
      [new Uint8Array(0), 'JOURNAL_CORRUPT'],
      [records[3]!.bytes.subarray(0, -1), 'JOURNAL_CORRUPT'],
      [concatBytes(records[3]!.bytes, records[4]!.bytes), 'JOURNAL_CORRUPT'],
      [records[3]!.bytes.with(20, 0xee), 'JOURNAL_CORRUPT'],
      [records[2]!.bytes, 'SIGNATURE_WRONG'],
      [records[4]!.bytes, 'SIGNATURE_WRONG'],
    ];
    for (const [record, code] of bad) {
      const fault = faultOf(() => reader.push(record));
      expect(fault.code).toBe(code);
      expect(fault.message).toContain(`record 3 at byte ${records[3]!.offset} `);
      expect(reader.position.index).toBe(3);
    }
    for (const record of records.slice(3)) expect(reader.push(record.bytes)).toEqual(record);
    expect(reader.position.head).toEqual(records[LAST]!.hash);
  });
});
