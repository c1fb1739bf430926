/**
 * Loads model.wasm and talks to it. Above stand `description`, what this model is and where things
 * lie in its memory, and `digestOf`.
 */

/** What went wrong, in `code`: no-simd, no-module, damaged-module, wrong-answer, wrong-kind, bad-token, bad-option, no-memory. */
export class ModelError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = 'ModelError';
    this.code = code;
  }
}

export const card = description.card;

/**
 * A model ready to classify, or to generate. Options: `bytes` of model.wasm, or its `url`, or a compiled `module`
 * where bytes may not be compiled (edge runtimes); `variant`: 'simd' or 'relaxed' instead of the best.
 */
export async function load(options = {}) {
  const module = options.module ?? (await compile(options));
  const simd = instantiate(module, {});
  const { memory } = simd.exports;
  checkAnswer(simd.exports, memory, 'simd');
  const relaxed = options.variant === 'simd' ? null : relaxedExports(module, memory, options);
  return makeModel(simd.exports, memory, relaxed);
}

async function compile({ bytes, url = './model.wasm' }) {
  const binary = bytes === undefined ? await readBytes(url) : asBytes(bytes);
  const digest = digestOf(binary);
  if (digest !== description.digest) {
    throw new ModelError(
      'damaged-module',
      `model.wasm is not the file that belongs to this model.mjs (${binary.length} bytes, checksum ${digest}; expected ${description.bytes} bytes, ${description.digest})`,
    );
  }
  if (!WebAssembly.validate(simdProbe)) {
    throw new ModelError(
      'no-simd',
      'this engine has no WebAssembly SIMD: it needs Node 16.4, Chrome 91, Firefox 89 or Safari 16.4, or newer',
    );
  }
  return WebAssembly.compile(binary);
}

async function readBytes(url) {
  try {
    const { href, protocol } = new URL(url, import.meta.url);
    if (protocol === 'file:' && globalThis.process?.versions?.node !== undefined) {
      const { readFile } = await import(
        /* webpackIgnore: true */ /* @vite-ignore */ 'node:fs/promises'
      );
      return await readFile(new URL(href));
    }
    const response = await fetch(href);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw new ModelError('no-module', `${url} cannot be read: ${cause.message}`, { cause });
  }
}

function asBytes(bytes) {
  return bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes.buffer ?? bytes);
}

function instantiate(module, imports) {
  try {
    return new WebAssembly.Instance(module, imports);
  } catch (cause) {
    throw new ModelError('damaged-module', `model.wasm cannot be started: ${cause.message}`, {
      cause,
    });
  }
}

/**
 * The forward pass with relaxed SIMD over the same memory; null where the engine has none, has a slow
 * one, or has no permission to compile it.
 */
function relaxedExports(module, memory, { variant }) {
  const [section] = WebAssembly.Module.customSections(module, 'lm2mcu.relaxed');
  try {
    if (variant !== 'relaxed' && !isRelaxedFast()) return null;
    const relaxed = new WebAssembly.Instance(new WebAssembly.Module(section), { env: { memory } });
    checkAnswer(relaxed.exports, memory, 'relaxed');
    return relaxed.exports;
  } catch (error) {
    if (variant === 'relaxed') throw error;
    return null;
  }
}

/**
 * The relaxed dot product of 127 and 255: engines may take the second as unsigned (one instruction on
 * x86 with VNNI) or as signed (one on Arm). Others take it as unsigned in 16 bits and saturate: that
 * is right for what the model multiplies, but slower than plain SIMD. Node 20 gets it wrong.
 */
function isRelaxedFast() {
  if (!WebAssembly.validate(relaxedProbe)) return false;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(relaxedProbe));
  const sum = exports.f();
  return sum === 1000 + 4 * 127 * 255 || sum === 1000 - 4 * 127;
}

/** (func (result i32)), the first lane of i32x4.relaxed_dot_i8x16_i7x16_add_s(127, 255, 1000). */
const relaxedProbe = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0],
  ...[10, 24, 1, 22, 0, 65, 255, 0, 253, 15, 65, 127, 253, 15, 65, 232, 7, 253, 17],
  ...[253, 147, 2, 253, 27, 0, 11],
);

/** (func (result v128) (i32x4.splat (i32.const 0))) */
const simdProbe = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0],
  ...[253, 17, 11],
);

/** An answer that is known, before the first question. */
function checkAnswer(exports, memory, variant) {
  const { ids, segmentStart, outputs } = description.selfTest;
  let cause;
  try {
    const values = answerOn(exports, memory, ids, segmentStart);
    if (values.every((value, index) => value === outputs[index])) return;
  } catch (trap) {
    cause = trap;
  }
  throw new ModelError(
    'wrong-answer',
    `the ${variant} form of the model gives another answer than it must: the module is damaged, or this engine computes wrongly`,
    { cause },
  );
}

/** A model that generates takes what it knows already from an earlier run: here from one of its half. */
function answerOn({ run }, memory, ids, segmentStart) {
  writeIds(memory, ids);
  if (description.generation === null) run(ids.length, segmentStart);
  else for (const [start, end] of halves(ids.length)) run(end, start);
  return outputsOf(memory, ids.length);
}

function halves(length) {
  const half = Math.ceil(length / 2);
  return half === length
    ? [[0, length]]
    : [
        [0, half],
        [half, length],
      ];
}

function writeIds(memory, ids) {
  new Uint16Array(memory.buffer, description.idsAddress, ids.length).set(ids);
}

function outputsOf(memory, tokens) {
  const { outputAddress, columns } = description;
  return new Int16Array(memory.buffer, outputAddress, rowsOf(tokens) * columns);
}

function rowsOf(tokens) {
  return description.isPerToken ? tokens : 1;
}

function makeModel(exports, memory, relaxed) {
  const runner = relaxed ?? exports;
  const tokenize = (text, pair) => {
    const first = encode(text);
    const second = pair === undefined || pair === null ? null : encode(pair);
    const address = description.textAddress;
    const secondAddress = address + first.length;
    reserve(memory, secondAddress + (second?.length ?? 0));
    const all = new Uint8Array(memory.buffer);
    all.set(first, address);
    if (second !== null) all.set(second, secondAddress);
    const count = exports.tokenize(
      ...[address, first.length, second === null ? 0 : 1, secondAddress, second?.length ?? 0],
    );
    const segmentStart = exports.segmentStartOfTokens();
    return { count, segmentStart, truncated: exports.tokensAreTruncated() !== 0 };
  };
  /** Whoever the tokens and the results of earlier tokens in the arena belong to. */
  let owner = null;
  const take = (text, pair) => {
    owner = null;
    return tokenize(text, pair);
  };
  return {
    card,
    variant: relaxed === null ? 'simd' : 'relaxed',
    memoryBytes: () => memory.buffer.byteLength,
    classify(text, pair) {
      checkKind(false);
      const { count, segmentStart, truncated } = take(text, pair);
      runner.run(count, segmentStart);
      return { ...readHead(outputsOf(memory, count)), tokens: count, truncated };
    },
    async generate(prompt, options = {}) {
      checkKind(true);
      const sampling = samplingOf(options);
      const { ids, truncated } = promptOf(prompt, take, memory);
      const self = {};
      const machine = {
        claim(all) {
          if (owner === self) return false;
          owner = self;
          writeIds(memory, all);
          return true;
        },
        append(id, count) {
          if (owner === self)
            new Uint16Array(memory.buffer, description.idsAddress)[count - 1] = id;
        },
        run: runner.run,
        choose: exports.choose,
        randomState: () => exports.randomState() >>> 0,
        placeOfText: exports.placeOfText,
        isForced: (place) => exports.isForced(place) !== 0,
        isOver: (place) => exports.isOver(place) !== 0,
        isComplete: (place) => exports.isComplete(place) !== 0,
        spelledBytes: (id) => spelled(exports, memory, id),
        spelledText: (id) => spell(exports, memory, id),
      };
      const answer = await generateText(machine, ids, sampling);
      return { ...answer, tokens: ids.length, truncated };
    },
    tokenize(text, pair) {
      const { count, segmentStart, truncated } = take(text, pair);
      const ids = new Uint16Array(memory.buffer, description.idsAddress, count).slice();
      return {
        ids,
        tokens: Array.from(ids, (id) => spell(exports, memory, id)),
        segmentStart,
        truncated,
      };
    },
    run(ids, segmentStart = ids.length) {
      checkIds(ids, segmentStart);
      owner = null;
      writeIds(memory, ids);
      runner.run(ids.length, description.generation === null ? segmentStart : 0);
      return outputsOf(memory, ids.length).slice();
    },
    foresee(ids) {
      checkKind(true);
      checkIds(ids, ids.length);
      owner = null;
      writeIds(memory, ids);
      const { columns } = description;
      const rows = new Int16Array(ids.length * columns);
      for (let start = 0; start < ids.length; start++) {
        runner.run(start + 1, start);
        rows.set(outputsOf(memory, start + 1), start * columns);
      }
      return rows;
    },
  };
}

/** Token ids of a text, or those that were given. */
function promptOf(prompt, tokenize, memory) {
  const isText = typeof prompt === 'string' || prompt.ids === undefined;
  const { count, truncated } = isText ? tokenize(prompt) : { count: 0, truncated: false };
  const ids = isText
    ? new Uint16Array(memory.buffer, description.idsAddress, count).slice()
    : prompt.ids;
  checkIds(ids, ids.length);
  return { ids, truncated };
}

function checkKind(generates) {
  if ((description.generation !== null) === generates) return;
  throw new ModelError(
    'wrong-kind',
    generates
      ? `this model does not generate text: its kind is ${card.kind}`
      : 'this model generates text, and has no classes: use generate',
  );
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Text, or bytes of UTF-8; what is none becomes U+FFFD. */
function encode(text) {
  return typeof text === 'string' ? encoder.encode(text) : asBytes(text);
}

const pageBytes = 65536;

function reserve(memory, end) {
  const missing = end - memory.buffer.byteLength;
  if (missing <= 0) return;
  try {
    memory.grow(Math.ceil(missing / pageBytes));
  } catch (cause) {
    throw new ModelError('no-memory', `there is no memory for a text of ${end} bytes`, { cause });
  }
}

/** What a token stands for; special tokens stand for nothing. */
function spelled({ spell: write }, memory, id) {
  const length = write(id);
  return new Uint8Array(memory.buffer, description.textAddress, length).slice();
}

/** A token as the vocabulary writes it. */
function spell(exports, memory, id) {
  const { specials, continuation } = description;
  const special = specials[id];
  if (special !== undefined) return special;
  const text = decoder.decode(spelled(exports, memory, id));
  return id < continuation.first ? text : continuation.prefix + text;
}

function checkIds(ids, segmentStart) {
  const { maxTokens, vocabulary } = description;
  const startsInside =
    Number.isInteger(segmentStart) && segmentStart >= 0 && segmentStart <= ids.length;
  let isKnown = startsInside && ids.length >= 1 && ids.length <= maxTokens;
  for (let index = 0; isKnown && index < ids.length; index++) {
    const id = ids[index];
    isKnown = Number.isInteger(id) && id >= 0 && id < vocabulary;
  }
  if (isKnown) return;
  throw new ModelError(
    'bad-token',
    `a run takes 1 to ${maxTokens} token ids from 0 to ${vocabulary - 1}, and a segment start among them`,
  );
}

/** What the raw integers mean. */
function readHead(outputs) {
  const { columns, outputScale } = description;
  const { kind, labels } = card;
  const logits = Array.from(outputs);
  if (kind === 'embedding')
    return { embedding: logits.map((value) => value * outputScale), logits };
  const nameOf = (index) => labels?.[index] ?? String(index);
  if (kind === 'token-classification') {
    const rows = Array.from({ length: logits.length / columns }, (_, row) =>
      logits.slice(row * columns, (row + 1) * columns),
    );
    return { tokenLabels: rows.map((row) => nameOf(largest(row))), logits: rows };
  }
  const scores = scoresOf(logits.map((value) => value * outputScale));
  return {
    label: nameOf(largest(logits)),
    scores: Object.fromEntries(scores.map((score, index) => [nameOf(index), score])),
    logits,
  };
}

/** The first of equals, as on the chip. */
function largest(values) {
  let best = 0;
  for (let index = 1; index < values.length; index++)
    if (values[index] > values[best]) best = index;
  return best;
}

function scoresOf(reals) {
  switch (description.scores) {
    case 'softmax': {
      const most = Math.max(...reals);
      const powers = reals.map((real) => Math.exp(real - most));
      const sum = powers.reduce((total, power) => total + power, 0);
      return powers.map((power) => power / sum);
    }
    case 'sigmoid':
      return reals.map((real) => 1 / (1 + Math.exp(-real)));
    default:
      return reals;
  }
}
