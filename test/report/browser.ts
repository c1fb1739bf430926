/** A headless Chromium, spoken to over a pipe in the DevTools protocol (version 1.3). */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

const program = process.env['CHROMIUM'] ?? 'chromium';

export const hasBrowser = spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

export interface PageOptions {
  readonly javascript?: boolean;
  readonly scheme?: 'light' | 'dark';
  readonly width?: number;
}

export interface Page {
  /** The value of an expression, or of the promise that it is; fails when the expression throws. */
  evaluate<T>(expression: string): Promise<T>;
  /** What the console, the security policy or an exception said. */
  readonly complaints: readonly string[];
  /** Every URL that the page asked for, the page itself first. */
  readonly requests: readonly string[];
  screenshot(): Promise<Buffer>;
}

export interface Browser {
  open(url: string, options?: PageOptions): Promise<Page>;
  close(): Promise<void>;
}

type Params = Readonly<Record<string, unknown>>;
interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly params?: Params;
  readonly result?: Params;
  readonly error?: { readonly message: string };
}

export async function openBrowser(): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'lm2mcu-browser-'));
  const child = spawn(
    program,
    [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--no-first-run'],
      ...['--disable-background-networking', '--remote-debugging-pipe'],
      `--user-data-dir=${profile}`,
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
  );
  const connection = connect(child);
  return {
    open: (url, options = {}) => openPage(connection, url, options),
    async close() {
      const closed = once(child, 'close');
      await connection.send('Browser.close', {});
      await closed;
      rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
}

interface Connection {
  send(method: string, params: Params, sessionId?: string): Promise<Params>;
  listen(listener: (message: Message) => void): void;
}

function connect(child: ChildProcess): Connection {
  const input = child.stdio[3] as Writable;
  const output = child.stdio[4] as Readable;
  const waiting = new Map<number, { resolve(result: Params): void; reject(error: Error): void }>();
  const listeners: ((message: Message) => void)[] = [];
  let nextId = 1;
  let rest = '';
  output.setEncoding('utf8').on('data', (text: string) => {
    const messages = (rest + text).split('\0');
    rest = messages.pop() ?? '';
    for (const message of messages.map((one) => JSON.parse(one) as Message)) {
      const answer = waiting.get(message.id ?? -1);
      if (answer === undefined) for (const listener of listeners) listener(message);
      else if (message.error === undefined) answer.resolve(message.result ?? {});
      else answer.reject(new Error(message.error.message));
    }
  });
  return {
    send: (method, params, sessionId) =>
      new Promise((resolve, reject) => {
        const id = nextId++;
        waiting.set(id, { resolve, reject });
        input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
      }),
    listen: (listener) => listeners.push(listener),
  };
}

async function openPage(
  { send, listen }: Connection,
  url: string,
  { javascript = true, scheme = 'light', width = 1280 }: PageOptions,
): Promise<Page> {
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
  const attached = await send('Target.attachToTarget', { targetId, flatten: true });
  const sessionId = String(attached['sessionId']);
  const ask = (method: string, params: Params = {}) => send(method, params, sessionId);
  const complaints: string[] = [];
  const requests: string[] = [];
  const loaded = new Promise<void>((resolve) => {
    listen((message) => {
      if (message.sessionId !== sessionId) return;
      const text = JSON.stringify(message.params);
      if (message.method === 'Page.loadEventFired') resolve();
      if (message.method === 'Network.requestWillBeSent') {
        const request = message.params?.['request'] as { readonly url: string } | undefined;
        requests.push(request?.url ?? 'unknown');
      }
      if (message.method === 'Log.entryAdded') complaints.push(text);
      if (message.method === 'Runtime.exceptionThrown') complaints.push(text);
      if (message.method === 'Runtime.consoleAPICalled') complaints.push(text);
    });
  });
  for (const domain of ['Page', 'Network', 'Log', 'Runtime']) await ask(`${domain}.enable`);
  await ask('Emulation.setScriptExecutionDisabled', { value: !javascript });
  const features = [{ name: 'prefers-color-scheme', value: scheme }];
  await ask('Emulation.setEmulatedMedia', { features });
  const metrics = { width, height: 900, deviceScaleFactor: 1, mobile: false };
  await ask('Emulation.setDeviceMetricsOverride', metrics);
  await ask('Page.navigate', { url });
  await loaded;
  return {
    complaints,
    requests,
    async evaluate<T>(expression: string) {
      const how = { returnByValue: true, awaitPromise: true };
      const answer = await ask('Runtime.evaluate', { expression, ...how });
      const thrown = answer['exceptionDetails'];
      if (thrown !== undefined) throw new Error(JSON.stringify(thrown));
      return (answer['result'] as { readonly value: T }).value;
    },
    async screenshot() {
      const shot = await ask('Page.captureScreenshot', { captureBeyondViewport: true });
      return Buffer.from(String(shot['data']), 'base64');
    },
  };
}
