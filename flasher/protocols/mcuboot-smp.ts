/**
 * MCUboot's serial recovery: SMP over the console. The device says at which offset it wants the next
 * piece, so a lost or repeated message does no harm. MCUboot lists an image only when its hash, and its
 * signature where it wants one, are right: being listed is the verification.
 */
import { environmentError } from '../../toolchain/errors.ts';
import { flashFailed, noAnswer, verifyFailed } from '../failures.ts';
import type { Flashed, Report } from '../job.ts';
import { type Link, openLink } from '../link.ts';
import type { Port } from '../port.ts';
import { mcubootHash } from './mcuboot-image.ts';
import { type SmpMessage, SmpOp, smpAssembler, smpLines } from './smp-frame.ts';

const GROUP_OS = 0;
const GROUP_IMAGE = 1;
const OS_RESET = 5;
const OS_PARAMETERS = 6;
const IMAGE_STATE = 0;
const IMAGE_UPLOAD = 1;

const ANSWER_MS = 2000;
/** The first piece erases the slot. */
const ERASE_MS = 30_000;
const attempts = 12;
const maxLines = 1000;
const maxLineBytes = 4096;
/** Fits the smallest buffer in use, with keys and header. */
const DATA_BYTES = 256;
const OVERHEAD_BYTES = 96;
const MAX_DATA_BYTES = 512;
/** Pieces that do not bring the offset on. */
const maxStandstill = 20;

export interface McubootOptions {
  readonly image: number;
  readonly enter: string;
}

export async function flashMcubootSmp(
  port: Port,
  image: Uint8Array,
  options: McubootOptions & { readonly rewriteAll?: boolean },
  report: Report,
): Promise<Flashed> {
  const hash = mcubootHash(image);
  const client = smpClient(openLink(port));
  report('connect');
  const dataBytes = await pieceBytes(client, options.enter);
  const there = options.rewriteAll === true ? null : await findImage(client, hash, options.image);
  if (there === null) await upload(client, image, options.image, dataBytes, report);
  report('verify');
  const slot = there ?? (await findImage(client, hash, options.image));
  if (slot === null) throw verifyFailed(`image ${options.image}`);
  // In the second slot it is run once; the application confirms itself when it works.
  if (slot > 0) {
    await client.ask(SmpOp.write, GROUP_IMAGE, IMAGE_STATE, { hash, confirm: false }, ANSWER_MS);
  }
  report('start');
  const reset = await client
    .ask(SmpOp.write, GROUP_OS, OS_RESET, {}, ANSWER_MS, 1)
    .catch(() => null); // it may be gone before it answers
  return {
    verifiedBy: 'SHA-256 by MCUboot',
    bytesWritten: there === null ? image.length : 0,
    bytesKept: there === null ? 0 : image.length,
    repeats: client.repeats(),
    started: reset === null ? null : true,
  };
}

type Payload = SmpMessage['payload'];

interface SmpClient {
  ask(
    op: number,
    group: number,
    id: number,
    payload: Payload,
    timeoutMs: number,
    tries?: number,
  ): Promise<Payload>;
  repeats(): number;
}

class NoAnswer extends Error {}

function smpClient(link: Link): SmpClient {
  const assembler = smpAssembler();
  let sequence = 0;
  let repeats = 0;
  /** What the console says besides, and answers to other questions, are passed over. */
  const answerTo = async (request: SmpMessage, timeoutMs: number): Promise<Payload | null> => {
    for (let count = 0; count < maxLines; count++) {
      const line = await link.until(0x0a, maxLineBytes, timeoutMs);
      if (line === null) return null;
      const message = assembler.push(line);
      const isAnswer =
        message !== null &&
        message.op === request.op + 1 &&
        message.group === request.group &&
        message.id === request.id &&
        message.sequence === request.sequence;
      if (isAnswer) return message.payload;
    }
    return null;
  };
  return {
    repeats: () => repeats,
    async ask(op, group, id, payload, timeoutMs, tries = attempts) {
      for (let attempt = 0; attempt < tries; attempt++) {
        if (attempt > 0) repeats += 1;
        sequence = (sequence + 1) & 0xff;
        const request = { op, group, id, sequence, payload };
        // The line end before it closes what a broken line has left.
        await link.write([0x0a, ...smpLines(request)]);
        const answer = await answerTo(request, timeoutMs);
        if (answer !== null) return answer;
      }
      throw new NoAnswer();
    },
  };
}

/** As much as the device's buffer takes, where it tells its size. */
async function pieceBytes(client: SmpClient, enter: string): Promise<number> {
  try {
    const answer = await client.ask(SmpOp.read, GROUP_OS, OS_PARAMETERS, {}, ANSWER_MS, 4);
    const size = answer['buf_size'];
    if (typeof size !== 'number') return DATA_BYTES;
    return Math.max(32, Math.min(size - OVERHEAD_BYTES, MAX_DATA_BYTES));
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    throw noAnswer('MCUboot (SMP)', `Bring the board into serial recovery: ${enter}.`);
  }
}

/** The slot in which a valid image with this hash lies. */
async function findImage(
  client: SmpClient,
  hash: Uint8Array,
  number: number,
): Promise<number | null> {
  const { images } = await asked('list its images', 'image state', () =>
    client.ask(SmpOp.read, GROUP_IMAGE, IMAGE_STATE, {}, ANSWER_MS),
  );
  if (!Array.isArray(images)) return null;
  const entries: readonly Readonly<Record<string, unknown>>[] = images;
  if (entries.length > 0 && entries.every((entry) => !('hash' in entry))) throw hashesMissing();
  const found = entries.find(
    (entry) =>
      (entry['image'] ?? 0) === number &&
      entry['hash'] instanceof Uint8Array &&
      Buffer.compare(entry['hash'], hash) === 0,
  );
  if (found === undefined) return null;
  return typeof found['slot'] === 'number' ? found['slot'] : 0;
}

function hashesMissing(): Error {
  return environmentError({
    code: 'cannot-verify',
    message:
      'this MCUboot does not tell the hash of its images, so what it holds cannot be verified',
    hint: 'Build it with CONFIG_BOOT_SERIAL_IMG_GRP_HASH, or flash with a probe tool.',
  });
}

async function upload(
  client: SmpClient,
  content: Uint8Array,
  image: number,
  dataBytes: number,
  report: Report,
): Promise<void> {
  let offset = 0;
  for (let standstill = 0; offset < content.length; ) {
    report('write', offset, content.length);
    const data = content.subarray(offset, offset + dataBytes);
    const payload =
      offset === 0 ? { image, len: content.length, off: 0, data } : { off: offset, data };
    const answer = await asked('take the image', `byte ${offset}`, () =>
      client.ask(
        SmpOp.write,
        GROUP_IMAGE,
        IMAGE_UPLOAD,
        payload,
        offset === 0 ? ERASE_MS : ANSWER_MS,
      ),
    );
    const next = answer['off'];
    if (typeof next !== 'number' || next < 0 || next > content.length)
      throw rejected(answer, offset);
    standstill = next > offset ? 0 : standstill + 1;
    if (standstill > maxStandstill) {
      throw flashFailed('the bootloader takes no more of the image', `byte ${offset}`);
    }
    offset = next;
  }
  report('write', content.length, content.length);
}

async function asked<T>(what: string, where: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof NoAnswer) {
      throw flashFailed(`the bootloader does not ${what}: no answer`, where);
    }
    throw error;
  }
}

/** Return codes of the protocol that tell the user something. */
const reasons: Readonly<Record<number, string>> = {
  2: 'it has not enough memory',
  3: 'the image is too large for its slot, or of the wrong kind',
  8: 'it was built without uploads',
};

function rejected(answer: Payload, offset: number): Error {
  const code = Number(answer['rc'] ?? 1);
  return environmentError({
    code: 'refused',
    message: `the bootloader refuses the image: ${reasons[code] ?? 'it says no more'} (code ${code})`,
    where: `byte ${offset}`,
    hint: 'Check that the image was signed for this board, and its slot’s size.',
  });
}
