/** A plan in words. */
import type { AttentionForm } from '../passes/attention-forms.ts';
import type { Plan } from './plan.ts';

export function planText({ tileRows, recomputeInputs, layers }: Plan): string {
  const tile = `tiles of ${tileRows} ${tileRows === 1 ? 'row' : 'rows'}`;
  const inputs = recomputeInputs ? ', embedded tokens made again where they are read' : '';
  const forms = layers.length === 0 ? '' : `; ${formsText(layers)}`;
  return `${tile}${inputs}${forms}`;
}

/** Layers that have the same form are counted. */
function formsText(layers: Plan['layers']): string {
  const texts = layers.map(formText);
  return [...new Set(texts)]
    .map((text) => {
      const count = texts.filter((other) => other === text).length;
      return layers.length === 1 ? text : `${count} of ${layers.length} layers ${text}`;
    })
    .join('; ');
}

function formText({ storedGroups, absorbedHeads }: AttentionForm): string {
  if (storedGroups === 0) return 'without keys and values';
  const groups = storedGroups === 1 ? 'at once' : `in ${storedGroups} groups`;
  if (absorbedHeads === 0) return storedGroups === 1 ? 'all heads at once' : `heads ${groups}`;
  const heads = absorbedHeads === 1 ? 'head' : 'heads';
  return `${absorbedHeads} ${heads} without keys and values, the others ${groups}`;
}
