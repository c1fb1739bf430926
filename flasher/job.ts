/** What the protocols share: what they are asked, what they answer, and the road to a verified image. */
import { hexWord } from '../toolchain/integers.ts';
import { verifyFailed } from './failures.ts';
import type { Segment } from './image.ts';
import type { FlashPlan, Page } from './plan.ts';
import { PortLost } from './port.ts';

export type Report = (phase: string, done?: number, total?: number) => void;

export interface Flashed {
  /** How it is known that the board holds the image. */
  readonly verifiedBy: string;
  readonly bytesWritten: number;
  /** Of the image, on pages that were right already. */
  readonly bytesKept: number;
  /** Steps that had to be repeated. */
  readonly repeats: number;
  /** Null where the board has to be reset by hand, if it does not run already. */
  readonly started: true | null;
}

/** Memory that can be compared, erased and written a page at a time. */
export interface PagedMemory {
  /** Whether comparing is so much cheaper than writing that it comes first. */
  readonly comparesFirst: boolean;
  /** Whether erasing a page erases all that follows too. */
  readonly erasesOnward: boolean;
  /** Whether a disturbed command is noticed; else it may have changed any page. */
  readonly checksCommands: boolean;
  isRight(page: Page, content: Uint8Array): Promise<boolean>;
  erase(pages: readonly Page[]): Promise<void>;
  write(block: Segment): Promise<void>;
  /** Steps repeated so far. */
  repeats(): number;
}

/** On a quiet line the second comparison finds nothing; more are for disturbed ones. */
const rounds = 8;

/**
 * Compares, mends what differs, compares again; the image counts as flashed when a comparison of
 * every page finds nothing wrong. The commit page goes first and its commit block comes last.
 */
export async function flashPages(
  plan: FlashPlan,
  memory: PagedMemory,
  options: { readonly rewriteAll: boolean },
  report: Report,
): Promise<Pick<Flashed, 'bytesWritten' | 'bytesKept' | 'repeats'>> {
  const { commit, pages } = plan;
  const uncommitted = pages.map((page) => (page === commit.page ? withoutCommit(plan) : page));
  const commitPlace = { ...commit.page, address: commit.write.address };
  const blank = new Uint8Array(commit.write.bytes.length).fill(ERASED);
  const untouched = new Set(pages.map(({ address }) => address));
  let bytesWritten = 0;
  const write = async (block: Segment) => {
    await memory.write(block);
    bytesWritten += block.bytes.length;
  };

  const compares = memory.comparesFirst && !options.rewriteAll;
  let isChanged = false;
  const mendAll = async (): Promise<void> => {
    let wrong = compares ? await findWrong(memory, pages, 'compare', report) : pages;
    for (let round = 0; wrong.length > 0; round++) {
      if (round === rounds) throw verifyFailed(placeOf(wrong[0]!));
      // Nothing boots from here on: first of all the commit page goes.
      isChanged = true;
      await memory.erase([commit.page]);
      untouched.delete(commit.page.address);
      // A disturbed line may have had another page erased.
      if (!(await memory.isRight(commitPlace, blank))) continue;
      const differs = new Set(wrong.map(({ address }) => address));
      let toMend: readonly Page[] = uncommitted.filter(
        ({ address }) =>
          memory.erasesOnward || differs.has(address) || address === commit.page.address,
      );
      for (let attempt = 0; toMend.length > 0; attempt++) {
        if (attempt === rounds) throw verifyFailed(placeOf(toMend[0]!));
        for (const { address } of toMend) untouched.delete(address);
        const isErased = ({ address }: Page) => attempt === 0 && address === commit.page.address;
        const toErase = toMend.filter((page) => !isErased(page));
        await mend(memory, toErase, toMend, write, report);
        // All of them: a disturbed line may have sent a write to another page.
        toMend = await findWrong(memory, uncommitted, 'verify', report);
      }
      const repeats = memory.repeats();
      await write(commit.write);
      const isCommitted = await memory.isRight(commit.page, commit.page.content);
      // On a quiet line nothing else can have changed since it was verified.
      const isQuiet = memory.checksCommands && memory.repeats() === repeats;
      if (isCommitted && isQuiet) return;
      wrong = await findWrong(memory, pages, 'verify', report);
    }
  };
  try {
    await mendAll();
  } catch (error) {
    // What could not be verified shall not start.
    const isThere = !(error instanceof PortLost);
    if (isChanged && isThere) await memory.erase([commit.page]).catch(() => {});
    throw error;
  }
  const kept = pages.filter(({ address }) => untouched.has(address));
  return { bytesWritten, bytesKept: contentBytes(kept), repeats: memory.repeats() };
}

/** The commit page as it is before the commit block. */
function withoutCommit({ commit: { page, write } }: FlashPlan): Page {
  const content = page.content.slice();
  const offset = write.address - page.address;
  content.fill(ERASED, offset, offset + write.bytes.length);
  return { ...page, content };
}

const ERASED = 0xff;
const pagesAtOnce = 8;

async function mend(
  memory: PagedMemory,
  toErase: readonly Page[],
  pages: readonly Page[],
  write: (block: Segment) => Promise<void>,
  report: Report,
): Promise<void> {
  for (let index = 0; index < toErase.length; index += pagesAtOnce) {
    report('erase', index, toErase.length);
    await memory.erase(toErase.slice(index, index + pagesAtOnce));
  }
  const total = contentBytes(pages);
  let done = 0;
  for (const page of pages) {
    for (const block of page.writes) {
      report('write', done, total);
      await write(block);
      done += block.bytes.length;
    }
  }
  report('write', total, total);
}

async function findWrong(
  memory: PagedMemory,
  pages: readonly Page[],
  phase: string,
  report: Report,
): Promise<readonly Page[]> {
  const total = contentBytes(pages);
  const wrong: Page[] = [];
  let done = 0;
  for (const page of pages) {
    report(phase, done, total);
    if (!(await memory.isRight(page, page.content))) wrong.push(page);
    done += page.content.length;
  }
  report(phase, total, total);
  return wrong;
}

function contentBytes(pages: readonly Page[]): number {
  return pages.reduce((sum, { content }) => sum + content.length, 0);
}

function placeOf({ region, number, address }: Page): string {
  return `page ${number} of ${region}, at ${hexWord(address)}`;
}
