/** `lm2mcu flash`: an image onto a board, verified. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { portError } from '../../flasher/advice.ts';
import {
  chooseLoader,
  howToGetReady,
  isReady,
  onSerialPort,
  probePort,
  protocols,
  type RealLoader,
} from '../../flasher/choose-loader.ts';
import type { Wiring } from '../../flasher/enter.ts';
import {
  type FlashPlans,
  type FlashRequest,
  flash,
  formatImage,
  plansOf,
  writerOf,
} from '../../flasher/flash.ts';
import { type Image, imageBytes, parseImage } from '../../flasher/image.ts';
import type { Flashed } from '../../flasher/job.ts';
import { describePlan, type FlashPlan } from '../../flasher/plan.ts';
import { listPorts } from '../../flasher/ports.ts';
import { openSerialPort } from '../../flasher/serial-port.ts';
import { parseStoredModel, readGraphFile } from '../emulate/stored-model.ts';
import { formatBytes, userError } from '../errors.ts';
import { hexWord } from '../integers.ts';
import { boardOf, type Target } from '../targets.ts';
import { findTarget } from './build.ts';
import { checkBuilt } from './built.ts';
import { defineCommand, type Output } from './command.ts';

export const flashCommand = defineCommand({
  usage: 'flash <image>',
  summary: 'Put an image onto a board, and verify it',
  positionals: {
    image: {
      type: 'string',
      demandOption: true,
      describe: 'The folder that lm2mcu build wrote, or a .hex, .elf, .uf2 or .bin file',
    },
  },
  options: {
    port: {
      type: 'string',
      requiresArg: true,
      describe: 'A serial port (lm2mcu ports), or the folder of the board’s drive',
    },
    protocol: {
      choices: protocols,
      requiresArg: true,
      describe: 'How; without it the first of the board’s loaders that is ready',
    },
    target: {
      type: 'string',
      requiresArg: true,
      describe: 'The board, where the image is a file',
    },
    address: {
      type: 'string',
      requiresArg: true,
      describe: 'Where a .bin file goes, as 0x…; without it the start of the board’s flash',
    },
    baud: { type: 'number', requiresArg: true, describe: 'Instead of the board’s' },
    signals: {
      type: 'string',
      requiresArg: true,
      describe: 'Modem lines at the chip’s pins: boot0=rts,nrst=dtr; ! before a line inverts it',
    },
    all: { type: 'boolean', default: false, describe: 'Write pages that are right already, too' },
    only: {
      type: 'string',
      array: true,
      requiresArg: true,
      describe: 'Only what lies in this memory of the board; may be given again',
    },
    'dry-run': { type: 'boolean', default: false, describe: 'Show the plan and do nothing' },
    save: {
      type: 'string',
      requiresArg: true,
      describe: 'Write the image to this .bin, .hex or .uf2 file instead of a board',
    },
  },
  examples: [
    ['lm2mcu flash build/sections', 'The way the board can do out of its box'],
    ['lm2mcu flash build/sections --port /dev/ttyUSB0 --dry-run', 'What a bootloader would do'],
  ],
  async run(flags, { progress }) {
    const target = targetOf(flags.image, flags.target);
    const whole = readImage(flags.image, target, parseAddress(flags.address));
    const image = flags.only === undefined ? whole : onlyIn(whole, target, flags.only);
    if (flags.save !== undefined) return saveImage(image, target, flags.save);
    const { protocol, port } = flags;
    const isDryRun = flags['dry-run'];
    const loader = chooseLoader({ target, image, protocol, port, isDryRun, isInstalled });
    const request: FlashRequest = {
      ...{ target, loader, image, port, rewriteAll: flags.all },
      baud: parseBaud(flags.baud),
      wiring: parseWiring(flags.signals),
      writer: readWriter(flags.image),
    };
    const plans = plansOf(request);
    if (port !== undefined) await checkPort(target, loader, port);
    const note = extname(flags.image) === '.bin' ? uncheckable(target) : undefined;
    if (isDryRun) return describeDryRun(request, plans, note);
    const begin = performance.now();
    const flashed = await flash(
      request,
      (path) => (settings) => openSerialPort(path, settings),
      (phase, done, total) =>
        progress.report(phase, done, total, phase === 'erase' ? undefined : 'B'),
    );
    return describe(request, flashed, (performance.now() - begin) / 1000, note);
  },
});

function targetOf(path: string, name: string | undefined): Target {
  if (name !== undefined) return boardOf(findTarget(name));
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) {
    checkBuilt(path);
    return boardOf(parseStoredModel(readGraphFile(join(path, 'graph.bin'))).target);
  }
  throw userError({
    code: 'no-target',
    message: `${JSON.stringify(path)} does not say for which board it is`,
    where: path,
    hint: 'Give --target <board>; lm2mcu targets lists them.',
  });
}

/** Of a build, the file that has every memory of the board in it. */
function readImage(path: string, target: Target, address: number | undefined): Image {
  const stats = statSync(path, { throwIfNoEntry: false });
  const file = stats?.isDirectory() === true ? join(path, 'firmware.hex') : path;
  if (!existsSync(file)) {
    throw userError({
      code: 'no-firmware',
      message: stats === undefined ? 'there is no such file' : 'there is no firmware in this build',
      where: file,
      hint: 'Build it: lm2mcu build <model> --target <board> --out <dir>',
    });
  }
  const code = target.regions.find(({ name }) => name === target.codeRegion);
  const start = target.bootloader?.storage.origin ?? code?.origin;
  return parseImage(file, readFileSync(file), address ?? start);
}

/** What of the image lies in these regions. */
function onlyIn({ segments }: Image, target: Target, names: readonly string[]): Image {
  const regions = names.map((name) => {
    const found = target.regions.find((region) => region.name === name);
    if (found !== undefined && target.bootloader === undefined) return found;
    throw badFlag(
      `--only ${name}: ${found === undefined ? 'there is no such memory' : 'the bootloader starts whole images only'}`,
      `Memories of ${target.name}: ${target.regions.map((region) => region.name).join(', ')}.`,
    );
  });
  const kept = segments.filter(({ address }) =>
    regions.some(({ origin, sizeBytes }) => address >= origin && address < origin + sizeBytes),
  );
  if (kept.length > 0) return { segments: kept };
  throw badFlag(`the image has nothing in ${names.join(' and ')}`, 'Leave --only out.');
}

/** Beside the image. */
function readWriter(path: string): Uint8Array | undefined {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  const file = join(isFolder ? path : dirname(path), 'writer.bin');
  return existsSync(file) ? readFileSync(file) : undefined;
}

function parseAddress(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^0x[0-9a-f]{1,8}$/i.test(text)) return Number.parseInt(text, 16);
  throw badFlag(`--address ${text} is no address`, 'Write it like 0x08000000.');
}

function parseBaud(baud: number | undefined): number | undefined {
  if (baud === undefined || (Number.isInteger(baud) && baud >= 300 && baud <= 4_000_000))
    return baud;
  throw badFlag('--baud takes a whole number from 300 to 4000000', 'Most boards have 115200.');
}

const wiringHint = 'Write --signals boot0=rts,nrst=dtr; ! before a line inverts it: boot0=!rts.';

/** `boot0=rts,nrst=dtr`. */
export function parseWiring(text: string | undefined): Wiring | undefined {
  if (text === undefined) return undefined;
  const pins = new Map(
    text.split(',').map((part) => {
      const [, pin, mark, line] = /^(boot0|nrst)=(!?)(dtr|rts)$/.exec(part.trim()) ?? [];
      if (pin === undefined)
        throw badFlag(`--signals ${text} cannot be read at ${JSON.stringify(part)}`, wiringHint);
      return [pin, { line: line === 'dtr' ? 'dtr' : 'rts', inverted: mark === '!' } as const];
    }),
  );
  const boot0 = pins.get('boot0');
  const nrst = pins.get('nrst');
  if (boot0 === undefined || nrst === undefined || boot0.line === nrst.line) {
    throw badFlag(`--signals ${text} does not give boot0 and nrst a line each`, wiringHint);
  }
  return { boot0, nrst };
}

function badFlag(message: string, hint: string): Error {
  return userError({ code: 'usage', message, hint });
}

function isInstalled(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/** The wrong port is the commonest mistake: a probe's port does not lead to a ROM bootloader. */
async function checkPort(target: Target, loader: RealLoader, path: string): Promise<void> {
  if (!onSerialPort.includes(loader.protocol)) return;
  const { platform } = process;
  const ports = await listPorts();
  if (platform !== 'win32' && !existsSync(path)) {
    throw portError({ path, reason: 'no such file', platform, ports });
  }
  if (loader.protocol !== 'stm32-uart' || loader.bootLine) return;
  const port = ports.find((one) => one.path === path);
  if (port?.isProbe !== true) return;
  throw probePort(target, loader, port);
}

/** Other files have addresses, and a build its board. */
function uncheckable({ name }: Target): string {
  return `note      a .bin does not say what it is for: that it is for ${name} is --target's word`;
}

function saveImage(image: Image, target: Target, file: string): Output {
  const form = extname(file).slice(1).toLowerCase();
  if (form !== 'bin' && form !== 'hex' && form !== 'uf2') {
    throw badFlag(`--save ${file} is none of .bin, .hex, .uf2`, 'The ending says the form.');
  }
  const drive = target.loaders.find((one) => one.protocol === 'drive');
  const bytes = formatImage(image, form, drive?.familyId ?? 0);
  writeFileSync(file, bytes);
  return {
    json: { file, form, bytes: bytes.length, imageBytes: imageBytes(image) },
    text: `${file}  ${formatBytes(bytes.length)}`,
  };
}

function describeDryRun(
  request: FlashRequest,
  plans: FlashPlans,
  note: string | undefined,
): Output {
  const { target, loader, image } = request;
  const { plan, throughWriter } = plans;
  const json = {
    dryRun: true,
    board: target.name,
    protocol: loader.protocol,
    imageBytes: imageBytes(image),
    pages: plan === null ? null : pagesOf(plan),
    commitAddress: plan?.commit.write.address ?? null,
    throughWriter: throughWriter === null ? null : { pages: pagesOf(throughWriter) },
  };
  const whole = `image     ${formatBytes(imageBytes(image))}, as a whole`;
  const detail =
    throughWriter === null
      ? plan === null
        ? whole
        : describePlan(plan)
      : describeSteps(request, throughWriter, plan);
  const lines = [`board     ${target.name} by ${loader.protocol}; nothing is done`, detail];
  if (!isReady(loader, { port: request.port, isInstalled })) {
    lines.push(`missing   ${howToGetReady(loader)}`);
  }
  return { json, text: [...lines, ...(note === undefined ? [] : [note])].join('\n') };
}

function pagesOf({ pages, commit }: FlashPlan) {
  return pages.map((page) => ({
    ...{ region: page.region, number: page.number },
    ...{ address: page.address, sizeBytes: page.sizeBytes },
    contentBytes: page.content.length,
    writes: page.writes.length + (commit.page === page ? 1 : 0),
  }));
}

function describeSteps(request: FlashRequest, nor: FlashPlan, internal: FlashPlan | null): string {
  const { address, bytes } = writerOf(request).program;
  const commit = internal?.commit.page;
  const before =
    commit === undefined ? '' : `page ${commit.number} of ${commit.region} is erased; `;
  const steps = [
    `${before}the writer, ${formatBytes(bytes.length)}, goes to RAM at ${hexWord(address)}, and is started`,
    `the writer does the NOR, where it differs, and resets the chip\n${describePlan(nor)}`,
    ...(internal === null
      ? []
      : [`the bootloader does the internal flash\n${describePlan(internal)}`]),
  ];
  return steps.map((step, index) => `step ${index + 1}    ${step}`).join('\n');
}

function describe(
  { target, loader, image, port }: FlashRequest,
  { verifiedBy, bytesWritten, bytesKept, repeats, started }: Flashed,
  seconds: number,
  note: string | undefined,
): Output {
  const bytesPerSecond = Math.round(bytesWritten / seconds);
  const json = {
    ...{ board: target.name, protocol: loader.protocol, port: port ?? null },
    ...{ imageBytes: imageBytes(image), bytesWritten, bytesKept, repeats, verifiedBy, started },
    seconds: Math.round(seconds * 1000) / 1000,
    bytesPerSecond,
  };
  const kept = bytesKept === 0 ? '' : `; ${formatBytes(bytesKept)} were right already`;
  const again = repeats === 0 ? '' : `; ${repeats} steps had to be repeated`;
  const speed = `${formatBytes(bytesWritten)} in ${seconds.toFixed(1)} s, ${bytesPerSecond.toLocaleString('en-US')} B/s`;
  const written = bytesWritten === 0 ? `nothing, in ${seconds.toFixed(1)} s` : speed;
  const text = [
    `board     ${target.name} by ${loader.protocol}${port === undefined ? '' : ` on ${port}`}`,
    `written   ${written}${kept}${again}`,
    `verified  ${verifiedBy}`,
    `started   ${started === true ? 'yes' : 'not known: if it does not run, press reset'}`,
    ...(note === undefined ? [] : [note]),
  ].join('\n');
  return { json, text };
}
