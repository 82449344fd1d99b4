/**
 * Where the tests' pages come from: a server of dist/browser that sends everything else on to a host, isolated from other
 * origins as a host's own page is. It says what was asked for, and can be cut off from the world.
 */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

const ISOLATED = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  // As strict as a page can be: nothing inline, nobody else, and no code from text but WebAssembly.
  'content-security-policy':
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self' ws:; img-src data:",
  'cache-control': 'no-cache',
};

/** A page that puts what a module exports where the test finds it. */
const PAGE = `<!doctype html><meta charset="utf-8"><title>a test</title><link rel="icon" href="data:,">
<script type="module" src="/page.js"></script>`;
const scriptOf = (module: string): string => `import * as all from '${module}';\nObject.assign(globalThis, all);\n`;

export interface Origin {
  readonly url: string;
  /** A link of the host as it is seen through this server. */
  through(link: string): string;
  /** Paths that were asked of the host so far, without the join code. */
  readonly asked: string[];
  /** Ends every connection and takes no new one. */
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

export interface Serving {
  /** Path below the root → folder of files. */
  readonly folders: Readonly<Record<string, string>>;
  /** What its page imports. */
  readonly module: string;
  /** What this machine is called in its addresses. */
  readonly name: string;
}

const MURMUR: Serving = {
  folders: { browser: 'dist/browser' },
  module: '/browser/browser.js',
  name: '127.0.0.1',
};

export async function serveOrigin(given: Partial<Serving> = {}): Promise<Origin> {
  const { folders, module, name } = { ...MURMUR, ...given };
  let host: URL | undefined;
  let isCut = false;
  const asked: string[] = [];
  const sockets = new Set<Socket>();

  async function file(path: string, response: ServerResponse): Promise<void> {
    const bytes = await readFile(path).catch(() => undefined);
    const headers = { ...ISOLATED, 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' };
    response.writeHead(bytes === undefined ? 404 : 200, headers).end(bytes);
  }

  function forward(incoming: IncomingMessage, response: ServerResponse): void {
    asked.push(incoming.url!.replace(/^\/[^/]+/, ''));
    const { method, url, headers } = incoming;
    const outgoing = request({ host: host!.hostname, port: host!.port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode!, { ...answer.headers, ...ISOLATED });
      answer.pipe(response);
    });
    outgoing.on('error', () => response.destroy());
    response.on('close', () => outgoing.destroy());
    outgoing.end();
  }

  const server = createServer((incoming, response) => {
    const [, first = '', ...rest] = new URL(incoming.url!, 'http://here').pathname.split('/');
    const folder = folders[first];
    if (first === '') response.writeHead(200, { ...ISOLATED, 'content-type': 'text/html' }).end(PAGE);
    else if (first === 'page.js')
      response.writeHead(200, { ...ISOLATED, 'content-type': 'text/javascript' }).end(scriptOf(module));
    else if (folder !== undefined) void file(join(folder, normalize(rest.join('/'))), response);
    else if (host === undefined) response.writeHead(404, ISOLATED).end();
    else forward(incoming, response);
  });
  server.on('connection', (socket) => {
    if (isCut) socket.destroy();
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (incoming, socket, head) => {
    const { method, url, httpVersion, rawHeaders } = incoming;
    const far = connect(Number(host!.port), host!.hostname, () => {
      const lines = [`${method} ${url} HTTP/${httpVersion}`];
      for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
      far.write(`${lines.join('\r\n')}\r\n\r\n`);
      far.write(head);
      far.pipe(socket).pipe(far);
    });
    far.on('error', () => socket.destroy()).on('close', () => socket.destroy());
    socket.on('error', () => far.destroy()).on('close', () => far.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://${name}:${(server.address() as AddressInfo).port}`;
  const cut = (): void => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url,
    asked,
    through(link) {
      host = new URL(link);
      return `${url}${host.pathname}`;
    },
    cut,
    mend() {
      isCut = false;
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      cut();
      await closed;
    },
  };
}
