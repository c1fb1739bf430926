/** HTML and SVG as values: whatever is put into a template is text, unless it is markup itself. */

export interface Markup {
  readonly markup: string;
}

type Hole = Markup | string | number | null | readonly Markup[];

export function html(strings: TemplateStringsArray, ...holes: readonly Hole[]): Markup {
  const parts = strings.map(
    (string, index) => string + (index < holes.length ? fill(holes[index]!) : ''),
  );
  return { markup: parts.join('') };
}

function fill(hole: Hole | undefined): string {
  if (hole === null || hole === undefined) return '';
  if (typeof hole === 'number') return String(round(hole));
  if (typeof hole === 'string') return escapeHtml(hole);
  if ('markup' in hole) return hole.markup;
  return hole.map(({ markup }) => markup).join('');
}

/** Coordinates to a hundredth: shorter, and alike on every machine. */
function round(value: number): number {
  return Math.round(value * 100) / 100;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Safe as text and between quotes; characters that nobody can see become visible. */
function escapeHtml(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd')
    .replace(/[&<>"']/g, (character) => entities[character]!);
}

/** For `<script type="application/json">`, which ends at the first `</script`, wherever it stands. */
export function jsonData(json: string): Markup {
  const escaped = json.replace(/[<>&\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    Array.from({ length: character.length }, (_, index) => {
      const unit = character.charCodeAt(index).toString(16);
      return `\\u${unit.padStart(4, '0')}`;
    }).join(''),
  );
  return { markup: escaped };
}

/** May break after dots, as names of layers should. */
export function breakable(name: string): Markup[] {
  const parts = name.split('.');
  return parts.map((part, index) =>
    index < parts.length - 1 ? html`${`${part}.`}<wbr>` : html`${part}`,
  );
}
