/**
 * Many light peers of `bench:swarm` in one process: each has a socket and a key of its own, signs what it sends and
 * answers an assignment at once with random bytes. The journal that they all hear is verified once for all of them.
 *
 * @module
 */
import { JournalReader } from '../../dist/journal/reader.js';
import { fromHex } from '../../dist/numeric/bytes.js';
import { nodeCrypto } from '../../dist/peer/node/crypto.js';
import { webSocketTransport } from '../../dist/peer/node/transport-websocket.js';
import { PROTOCOL_VERSION } from '../../dist/wire/limits.js';
import { decodeHostMessage, encodePeerMessage } from '../../dist/wire/messages.js';
import { challengeMessage, contributionMessage, receiptMessage } from '../../dist/wire/signed.js';

const { address, run: runHex, first, count, settled } = JSON.parse(process.argv[2]);
const run = fromHex(runHex);
const transport = webSocketTransport();
const reader = new JournalReader(nodeCrypto, run);
let coordinator;
/** The same clock in all processes of a machine. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

const receipts = [];
/** By round: when the last contribution went out, and when each peer heard the commit. */
const sent = new Map();
const heard = new Map();

/** When all are admitted, the journal so far is read once; whatever follows is heard on their lines. */
let strangers = count;
let allIn;
const journalRead = new Promise((resolve) => {
  allIn = resolve;
}).then(async () => {
  const response = await fetch(address.replace('ws:', 'http:'));
  reader.read(new Uint8Array(await response.arrayBuffer()));
  coordinator = fromHex(reader.position.state.manifest.coordinator);
});

function peer(number) {
  const secret = new Uint8Array(32);
  new DataView(secret.buffer).setUint32(0, number + 1);
  const key = nodeCrypto.publicKey(secret);
  const checksum = new Uint8Array(8);
  let slot;
  let given;
  let channel;
  let [enter, end] = [];
  const admitted = new Promise((resolve) => {
    enter = resolve;
  });
  const ended = new Promise((resolve) => {
    end = resolve;
  });
  const send = (message) => channel.send(encodePeerMessage(message));
  const hear = {
    challenge: ({ nonce }) =>
      send({ type: 'prove', signature: nodeCrypto.sign(secret, challengeMessage(nonce, run, key)) }),
    async admitted(message) {
      slot = message.slot;
      enter();
      if (--strangers === 0) allIn();
      await journalRead;
      send({ type: 'ready', round: 0, checksum });
    },
    open({ round, from, count: records }) {
      const codes = Int8Array.from({ length: records }, () => Math.floor(Math.random() * 255) - 127);
      const { anchor } = reader.position;
      const signature = nodeCrypto.sign(secret, contributionMessage(run, round, anchor, from, codes));
      given = { round, from, codes, anchor, at: now() };
      send({ type: 'contribution', round, from, codes, signature });
      sent.set(round, given.at);
    },
    receipt({ round, signature }) {
      const { from, codes, anchor, at } = given;
      if (round >= settled) receipts.push(now() - at);
      // One of many is checked, so that the machine is not busy with what a thousand machines would do.
      if (number % 100 !== 0) return;
      if (!nodeCrypto.verify(coordinator, receiptMessage(run, round, anchor, slot, from, codes), signature))
        throw new TypeError('the receipt is not signed');
    },
    commit({ offset, record }) {
      const { length, state } = reader.position;
      if (state !== null && offset === length) reader.push(record);
      if (record[8] !== 4) return; // a round: src/journal/entries.ts
      const { round } = given;
      if (round >= settled) heard.set(round, [...(heard.get(round) ?? []), now()]);
      send({ type: 'checksum', round: round + 1, checksum });
    },
    snapshot() {}, // nothing is kept here
    done: () => end(),
    refused({ code, detail }) {
      throw new TypeError(`peer ${number} was refused: ${code}, ${detail}`);
    },
  };
  const events = {
    frame(bytes) {
      const message = decodeHostMessage(bytes);
      hear[message.type](message);
    },
    closed: () => end(),
  };
  transport.dial(address, events).then((opened) => {
    channel = opened;
    send({ type: 'hello', version: PROTOCOL_VERSION, key, code: 'bench', name: `light ${number}` });
  });
  return { admitted, ended };
}

/** So many at a time: each admission is told to all who are there, and a crowd is no one else's bench. */
const AT_ONCE = 25;
const all = [];
for (let i = 0; i < count; i += AT_ONCE) {
  const group = Array.from({ length: Math.min(AT_ONCE, count - i) }, (_, n) => peer(first + i + n));
  all.push(...group.map(({ ended }) => ended));
  await Promise.all(group.map(({ admitted }) => admitted));
}
await Promise.all(all);
process.send({ receipts, sent: [...sent], heard: [...heard] });
await transport.close();
process.disconnect();
