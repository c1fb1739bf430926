/**
 * Text behind a text, token by token. Below runtime.js in the model.mjs of models that generate; the
 * integers are those of `generate` of the firmware's console.
 */

/** Another call may want the engine, or the page, after so long. */
const turnMs = 12;

/**
 * `prompt`: token ids. `machine`: `claim` makes the arena this generation's own, and says whether it was
 * not; `run` and `choose` as the module has them.
 */
export async function generateText(machine, prompt, options) {
  const { endTokens, isConstrained } = description.generation;
  const { maxNew, temperature, topK, topP, signal, onToken } = options;
  const writer = textWriter(machine, onToken);
  const ids = Array.from(prompt);
  const generated = [];
  const end = (stopped) => ({
    ...{ text: writer.end(), ids: generated, stopped },
    ...(isConstrained ? { complete: machine.isComplete(place) } : {}),
  });
  // The last token need not have room behind the others.
  const most = Math.min(maxNew, description.maxTokens + 1 - ids.length);
  /** Where the text is in what the build permits. */
  let place = 0;
  let randomState = options.seed;
  let turnStart = performance.now();
  for (let start = 0; generated.length < maxNew; ) {
    if (signal?.aborted) return end('cancelled');
    // Where one token alone is permitted, its logits are not asked for.
    if (start === 0 || !isConstrained || !machine.isForced(place)) {
      // What another call has overwritten is computed again.
      if (machine.claim(ids)) start = 0;
      machine.run(ids.length, start);
      start = ids.length;
    }
    const left = most - generated.length;
    const id = machine.choose(temperature, topK, topP, randomState, left, place);
    if (id < 0) return end('end');
    randomState = machine.randomState();
    if (isConstrained) place = machine.placeOfText();
    generated.push(id);
    writer.add(id);
    if (endTokens.includes(id) || (isConstrained && machine.isOver(place))) return end('end');
    if (ids.length === description.maxTokens) return end('context');
    ids.push(id);
    machine.append(id, ids.length);
    if (performance.now() - turnStart < turnMs) continue;
    await new Promise((resolve) => setTimeout(resolve));
    turnStart = performance.now();
  }
  return end('length');
}

/** Tokens to text as they come; characters whose bytes come with several tokens come whole. */
function textWriter({ spelledBytes, spelledText }, onToken) {
  const { pieces, silent } = description.generation;
  const decoder = new TextDecoder();
  let text = '';
  const write = (piece) => {
    if (piece === '') return;
    text += piece;
    onToken?.(piece);
  };
  const word = (id) => {
    if (silent.includes(id)) return '';
    const { first, prefix } = description.continuation;
    const spelled = spelledText(id);
    const continues = prefix !== '' && id >= first && spelled.startsWith(prefix);
    if (continues) return spelled.slice(prefix.length);
    return text === '' ? spelled : ` ${spelled}`;
  };
  return {
    add: (id) =>
      write(pieces === 'words' ? word(id) : decoder.decode(spelledBytes(id), { stream: true })),
    end() {
      write(decoder.decode());
      return text;
    },
  };
}

/** As the module takes them: temperature and share in 1/1000. */
export function samplingOf(options) {
  const whole = (name, most, without) => {
    const value = options[name] ?? without;
    if (Number.isInteger(value) && value >= 0 && value <= most) return value;
    throw badOption(name, value, `a whole number from 0 to ${most}`);
  };
  const thousandths = (name, most, without) => {
    const value = options[name] ?? without;
    if (value >= 0 && value <= most) return Math.round(value * 1000);
    throw badOption(name, value, `a number from 0 to ${most}`);
  };
  return {
    maxNew: whole('maxNew', 2 ** 31 - 1, 64),
    temperature: thousandths('temperature', 1000, 0),
    topK: whole('topK', 2 ** 31 - 1, 0),
    topP: thousandths('topP', 1, 1),
    seed: whole('seed', 2 ** 32 - 1, 0),
    signal: options.signal,
    onToken: options.onToken,
  };
}

function badOption(name, value, expected) {
  return new ModelError('bad-option', `${name} ${value} is not ${expected}`);
}
