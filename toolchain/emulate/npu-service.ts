/**
 * The NPU of an emulated board: jobs that the firmware asks for under QEMU are run by the functional
 * simulator (`ethosu/simulate.ts`), on the memory that QEMU keeps in a file.
 *
 *   firmware (npu/emulated.c)     FIFO npu-request ▶   this process: reads the regions from the file,
 *   waits in a blocking read      ◀ FIFO npu-answer    simulates, writes back what has changed
 *
 * QEMU stands still meanwhile, so the memory is ours, and no time passes on the emulated core. A job
 * that is refused is an answer like any other, with the word of the command stream in its text.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environmentError, Lm2mcuError } from '../errors.ts';
import {
  type Accelerator,
  acceleratorOf,
  acceleratorOfConfig,
  configWord,
} from '../ethosu/accelerators.ts';
import { readPayload } from '../ethosu/payload.ts';
import { hexWord } from '../integers.ts';
import { addLeftover } from '../leftovers.ts';
import type { EmulatedNpu, Npu } from '../targets.ts';
import { definedSpace, type Space } from './ethosu/memory.ts';
import { simulate } from './ethosu/simulate.ts';

export interface NpuService {
  /** Where QEMU is to be started: paths of the FIFOs and of the memory are relative to it. */
  readonly folder: string;
  /** What QEMU needs beside the machine's name. */
  readonly machineOptions: string;
  readonly args: readonly string[];
  /** After QEMU has ended. */
  close(): void;
}

/** `board`: whose NPU it plays; `twin`: the emulated board that the firmware runs on. */
export function openNpuService(board: Npu, twin: EmulatedNpu): NpuService {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-npu-'));
  const release = addLeftover(() => rmSync(folder, { recursive: true, force: true }));
  const request = makeFifo(folder, files.request);
  const answer = makeFifo(folder, files.answer);
  const doorbell = new Socket({ fd: request, readable: true, writable: false });
  const accelerator = acceleratorOf(board.accelerator);
  let pending = Buffer.alloc(0);
  doorbell.on('data', (bytes) => {
    pending = Buffer.concat([pending, bytes]);
    for (; pending.length >= requestBytes; pending = pending.subarray(requestBytes)) {
      const job = readRequest(pending.subarray(0, requestBytes));
      writeSync(answer, answerOf(refusalOf(job, accelerator, twin, join(folder, files.memory))));
    }
  });
  doorbell.unref(); // QEMU keeps this process waiting, not its doorbell
  return {
    folder,
    machineOptions: ',memory-backend=npu-memory',
    args: [
      '-object',
      `memory-backend-file,id=npu-memory,size=${twin.shared.sizeBytes},mem-path=${files.memory},share=on`,
      ...['-semihosting-config', 'enable=on,target=native'],
    ],
    close() {
      doorbell.destroy();
      closeSync(answer);
      rmSync(folder, { recursive: true, force: true });
      release();
    },
  };
}

const files = { request: 'npu-request', answer: 'npu-answer', memory: 'npu-memory' } as const;

/** Opened for both directions, so that nobody waits for the other end. */
function makeFifo(folder: string, name: string): number {
  const path = join(folder, name);
  try {
    execFileSync('mkfifo', [path], { stdio: 'ignore' });
  } catch {
    throw environmentError({
      code: 'no-fifo',
      message: 'the host has no FIFOs, which ring between the emulator and the NPU’s simulator',
      where: path,
      hint: 'Use a POSIX host, or run it here with --on interpreter.',
    });
  }
  return openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
}

interface Range {
  readonly origin: number;
  readonly sizeBytes: number;
}

interface Job {
  readonly payload: Range;
  /** By region number. */
  readonly regions: readonly Range[];
}

/** `npu_request` of firmware-templates/npu/emulated.c. */
const mostRegions = 8;
const requestBytes = 4 * (3 + 2 * mostRegions);
/** `npu_answer` there. */
const answerBytes = 256;

function readRequest(bytes: Buffer): Job {
  const word = (index: number) => bytes.readUInt32LE(4 * index);
  return {
    payload: { origin: word(0), sizeBytes: word(1) },
    regions: Array.from({ length: Math.min(word(2), mostRegions) }, (_, region) => ({
      origin: word(3 + region),
      sizeBytes: word(3 + mostRegions + region),
    })),
  };
}

/** `refusal`: why the job was not done; null: it was. */
function answerOf(refusal: string | null): Buffer {
  const bytes = Buffer.alloc(answerBytes);
  bytes.writeUInt32LE(refusal === null ? 1 : 0, 0);
  bytes.write((refusal ?? '').replaceAll(/[^ -~]/g, '?'), 4, answerBytes - 5, 'latin1');
  return bytes;
}

/** Whatever goes wrong, the firmware must not wait for ever. */
function refusalOf(
  job: Job,
  accelerator: Accelerator,
  { shared }: EmulatedNpu,
  memoryPath: string,
): string | null {
  const file = openSync(memoryPath, 'r+');
  try {
    runJob(job, accelerator, { file, ...shared });
    return null;
  } catch (error) {
    if (!(error instanceof Lm2mcuError)) return String(error);
    const { message, where } = error.details;
    return where === undefined ? message : `${message} (${where})`;
  } finally {
    closeSync(file);
  }
}

/** LM_NPU_ALIGNMENT of npu.h. */
const alignment = 16;

interface SharedMemory extends Range {
  readonly file: number;
}

/** As the runner on a chip checks it. */
function checkAlignment({ payload, regions }: Job): void {
  if (payload.origin % alignment !== 0) throw refused('the payload is not aligned to 16 bytes');
  if (regions.some(({ origin }) => origin % alignment !== 0)) {
    throw refused('a region is not aligned to 16 bytes');
  }
}

function runJob(job: Job, accelerator: Accelerator, memory: SharedMemory): void {
  checkAlignment(job);
  const { config, words } = readPayload(read(memory, job.payload, 'the payload'), 'the payload');
  if (config !== configWord(accelerator)) {
    const name = acceleratorOfConfig(config)?.name ?? `config 0x${config.toString(16)}`;
    throw refused(`the job was compiled for ${name}, the NPU is ${accelerator.name}`);
  }
  const spans = spansOf(job.regions).map((span) => {
    const bytes = read(memory, span, 'a region');
    return { ...span, bytes, before: bytes.slice() };
  });
  const regions = job.regions.map(({ origin, sizeBytes }, region): Space => {
    const span = spans.find((one) => isInside({ origin, sizeBytes }, one))!;
    const start = origin - span.origin;
    return definedSpace(`region ${region}`, span.bytes.subarray(start, start + sizeBytes));
  });
  simulate(words, accelerator, regions);
  for (const { origin, bytes, before } of spans) writeChanged(memory, origin, bytes, before);
}

/** Regions may overlap: what one of them writes the others see. */
function spansOf(regions: readonly Range[]): readonly Range[] {
  const spans: Range[] = [];
  for (const region of regions.toSorted((a, b) => a.origin - b.origin)) {
    const last = spans.at(-1);
    if (last === undefined || region.origin > last.origin + last.sizeBytes) {
      spans.push(region);
    } else {
      const end = Math.max(last.origin + last.sizeBytes, region.origin + region.sizeBytes);
      spans[spans.length - 1] = { origin: last.origin, sizeBytes: end - last.origin };
    }
  }
  return spans;
}

function isInside(inner: Range, outer: Range): boolean {
  const [innerEnd, outerEnd] = [inner, outer].map(({ origin, sizeBytes }) => origin + sizeBytes);
  return inner.origin >= outer.origin && innerEnd! <= outerEnd!;
}

function read(memory: SharedMemory, range: Range, what: string): Uint8Array {
  const { origin, sizeBytes } = range;
  if (!isInside(range, memory)) {
    const address = hexWord(origin);
    throw refused(
      `${what} of ${sizeBytes} bytes at ${address} is not in the memory that the NPU reaches`,
    );
  }
  const bytes = new Uint8Array(sizeBytes);
  readSync(memory.file, bytes, 0, sizeBytes, origin - memory.origin);
  return bytes;
}

function writeChanged(
  memory: SharedMemory,
  origin: number,
  bytes: Uint8Array,
  before: Uint8Array,
): void {
  const isChanged = (byte: number, index: number) => byte !== before[index];
  const first = bytes.findIndex(isChanged);
  if (first < 0) return;
  const length = bytes.findLastIndex(isChanged) + 1 - first;
  writeSync(memory.file, bytes, first, length, origin - memory.origin + first);
}

function refused(message: string): Lm2mcuError {
  return new Lm2mcuError('internal', { code: 'npu-refused', message });
}
