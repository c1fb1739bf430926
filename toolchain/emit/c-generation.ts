/**
 * What differs in `lm2mcu_model.c` between a model that answers once and one that generates: the former
 * takes its tokens away when it runs, the latter goes on from where it was.
 */

import type { Constraint } from '../constrain/constraint.ts';
import { unitStep } from '../generate/sample.ts';
import type { ModelCard } from '../importers/index.ts';
import { outputScale } from '../ir/graph.ts';
import type { Program } from '../schedule/program.ts';
import type { CompiledTokenizer } from '../tokenizer/compile.ts';

export interface ModelParts {
  readonly include: string;
  /** Functions that read the state. */
  readonly state: string;
  readonly beginRun: string;
  readonly endRun: string;
  /** What `lm2mcu.h` has for such models only. */
  readonly functions: string;
}

export const plainParts: ModelParts = {
  include: '',
  state: `/* No tokens: there was no state. */
static model_state take_state(void *arena) {
  model_state state = *AT(model_state, STATE_OFFSET);
  if (state.check != check_of(state.segment_start, state.tokens)) state.tokens = 0;
  AT(model_state, STATE_OFFSET)->check = ~state.check;
  return state;
}

`,
  beginRun: `  const model_state state = take_state(arena);
  const int32_t tokens = state.tokens;
  if (tokens < 1 || tokens > LM2MCU_MAX_TOKENS) return LM2MCU_ERROR_ARENA;
`,
  endRun: '',
  functions: '',
};

export interface GenerationRequest {
  readonly program: Program;
  readonly card: ModelCard;
  readonly tokenizer: CompiledTokenizer;
  readonly constraint?: Constraint | undefined;
}

export function generatingParts(request: GenerationRequest): ModelParts {
  return {
    include: '#include "kernels/sampler.h"\n',
    state: `static bool is_state(const model_state *state) {
  return state->check == check_of(state->segment_start, state->tokens) && state->tokens >= 1 &&
         state->tokens <= LM2MCU_MAX_TOKENS;
}

`,
    beginRun: `  model_state *const state = AT(model_state, STATE_OFFSET);
  if (!is_state(state)) return LM2MCU_ERROR_ARENA;
  const int32_t start = state->start;
  const int32_t tokens = state->tokens;
  if (start >= tokens) return LM2MCU_ERROR_ARENA;
`,
    endRun: '  state->start = tokens;\n',
    functions: generationFunctions(request),
  };
}

/** `start` stays: what was computed of earlier tokens is still in the arena. */
function generationFunctions(request: GenerationRequest): string {
  const { graph } = request.program;
  const step = unitStep(outputScale(graph));
  const { constraint } = request;
  return `
int32_t lm2mcu_choose(const lm2mcu_result *result, const lm2mcu_sampling *sampling,
                      int32_t most_tokens, lm2mcu_writing *writing) {
  const lm_sampling own = {
      .step = ${step}u,
      .temperature = sampling->temperature,
      .top_k = sampling->top_k,
      .top_p = sampling->top_p,
  };
${constraint === undefined ? freeChoice : constrainedChoice(constraint)}}

${constraint === undefined ? freeWriting : constrainedWriting}

lm2mcu_status lm2mcu_append(void *arena, int32_t id) {
  if (!is_aligned(arena)) return LM2MCU_ERROR_ARENA;
  model_state *const state = AT(model_state, STATE_OFFSET);
  if (!is_state(state)) return LM2MCU_ERROR_ARENA;
  if (state->tokens >= LM2MCU_MAX_TOKENS) return LM2MCU_ERROR_TOO_LONG;
  if (id < 0 || id >= VOCABULARY) return LM2MCU_ERROR_BAD_TOKEN;
  AT(uint16_t, IDS_OFFSET)[state->tokens] = (uint16_t)id;
  state->tokens += 1;
  state->check = check_of(state->segment_start, state->tokens);
  return LM2MCU_OK;
}

int32_t lm2mcu_spell(int32_t id, uint8_t *bytes) {
${
  request.tokenizer.kind === 'bpe'
    ? '  return lm_bpe_spell(&model_tokenizer, (uint32_t)id, bytes);'
    : '  (void)id;\n  (void)bytes;\n  return 0;'
}
}

const uint16_t *lm2mcu_token_ids(const void *arena) {
  return (const uint16_t *)(const void *)((const uint8_t *)arena + IDS_OFFSET);
}

bool lm2mcu_ends_text(int32_t id) {
  switch (id) {
${endTokensOf(request)
  .map((id) => `    case ${id}:\n      return true;\n`)
  .join('')}    default:
      return false;
  }
}
`;
}

const freeChoice = `  (void)most_tokens;
  return lm_choose_token(&own, result->values, result->columns, &writing->random_state);
`;

const freeWriting = `bool lm2mcu_needs_run(const lm2mcu_writing *writing) {
  (void)writing;
  return true;
}

bool lm2mcu_is_over(const lm2mcu_writing *writing) {
  (void)writing;
  return false;
}

bool lm2mcu_is_complete(const lm2mcu_writing *writing) {
  (void)writing;
  return true;
}`;

function constrainedChoice({ classCount }: Constraint): string {
  return `  bool allowed[${classCount}] = {false}; /* classes of tokens */
  const lm_permitted_choice choice = {
      .constraint = &model_constraint,
      .sampling = &own,
      .logits = (int16_t *)(uintptr_t)result->values, /* they lie in the arena */
      .most_tokens = most_tokens,
  };
  return lm_choose_permitted(&choice, allowed, &writing->place, &writing->random_state);
`;
}

const constrainedWriting = `bool lm2mcu_needs_run(const lm2mcu_writing *writing) {
  return !lm_is_forced(&model_constraint, writing->place);
}

bool lm2mcu_is_over(const lm2mcu_writing *writing) {
  return lm_is_over(&model_constraint, writing->place);
}

bool lm2mcu_is_complete(const lm2mcu_writing *writing) {
  return model_constraint.distances[writing->place] == 0;
}`;

/** By compact id; those that have none cannot be chosen. */
export function endTokensOf({
  card,
  tokenizer,
}: {
  readonly card: ModelCard;
  readonly tokenizer: Pick<CompiledTokenizer, 'idOrder'>;
}): readonly number[] {
  const ids = (card.endTokens ?? []).map((id) => tokenizer.idOrder.indexOf(id));
  return [...new Set(ids)].filter((id) => id >= 0);
}
