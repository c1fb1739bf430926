/** The stack bound on call graphs written by hand, in the form gcc 12 writes them. */
import { describe, expect, test } from 'vitest';
import { stackBound } from '../../toolchain/build/stack-bound.ts';

const node = (title: string, bytes: number, kind = 'static') =>
  `node: { title: "${title}" label: "${title}\\nx.c:1:5\\n${bytes} bytes (${kind})" }`;
const library = (title: string) =>
  `node: { title: "${title}" label: "${title}\\n<built-in>" shape : ellipse }`;
const edge = (from: string, to: string) =>
  `edge: { sourcename: "${from}" targetname: "${to}" label: "x.c:2:3" }`;
const graph = (...lines: string[]) => ['graph: { title: "x.c"', ...lines, '}'].join('\n');

const start = graph(node('Reset_Handler', 8), edge('Reset_Handler', 'main'));
const bound = (...graphs: string[]) => stackBound([start, ...graphs], ['SysTick_Handler'], 108);
const tick = graph(node('SysTick_Handler', 4));

describe('stackBound', () => {
  test('is the deepest path across files, plus one interrupt', () => {
    const main = graph(
      node('main', 16),
      edge('main', 'x.c:near'),
      edge('main', 'far'),
      node('x.c:near', 200),
    );
    const far = graph(node('far', 24), edge('far', 'deep'), node('deep', 400, 'dynamic,bounded'));
    expect(bound(main, far, tick)).toEqual({
      bytes: 560, // 8 + 16 + 24 + 400 + 108 + 4
      path: [
        { name: 'Reset_Handler', bytes: 8 },
        { name: 'main', bytes: 16 },
        { name: 'far', bytes: 24 },
        { name: 'deep', bytes: 400 },
      ],
    });
  });

  test('a function nobody calls does not count', () => {
    const main = graph(node('main', 16), node('unused', 9999), edge('unused', 'unused'));
    expect(bound(main, tick).bytes).toBe(136);
  });

  test('the fault report starts over at the top', () => {
    const main = graph(node('main', 16));
    expect(bound(main, tick, graph(node('fault_stop', 600))).bytes).toBe(600);
  });

  test('64-bit division is known', () => {
    const main = graph(
      node('main', 16),
      library('__aeabi_uldivmod'),
      edge('main', '__aeabi_uldivmod'),
    );
    expect(bound(main, tick).bytes).toBe(200);
  });

  test.each([
    [
      'recursion',
      graph(node('main', 16), edge('main', 'walk'), node('walk', 8), edge('walk', 'walk')),
      'walk calls itself',
      'Reset_Handler > main > walk > walk',
    ],
    [
      'mutual recursion',
      graph(
        node('main', 16),
        edge('main', 'a'),
        node('a', 8),
        edge('a', 'b'),
        node('b', 8),
        edge('b', 'a'),
      ),
      'a calls itself',
      'Reset_Handler > main > a > b > a',
    ],
    [
      'a call through a pointer',
      graph(node('main', 16), edge('main', '__indirect_call')),
      'main calls through a pointer',
      'Reset_Handler > main',
    ],
    [
      'a variable-length array',
      graph(node('main', 16, 'dynamic')),
      'main has a stack frame of variable size',
      'Reset_Handler',
    ],
  ])('%s has no bound', (_what, main, message, where) => {
    expect(() => bound(main, tick)).toThrow(
      expect.objectContaining({
        kind: 'user',
        details: {
          code: 'unbounded-stack',
          message: `the stack has no bound: ${message}`,
          where,
          hint: 'Firmware code calls functions by name, without recursion or variable-length arrays.',
        },
      }),
    );
  });

  test('a function that another compiler calls is no fault of the user', () => {
    const main = graph(node('main', 16), library('__aeabi_lmul'), edge('main', '__aeabi_lmul'));
    expect(() => bound(main, tick)).toThrow(
      expect.objectContaining({
        kind: 'environment',
        details: {
          code: 'unknown-library-function',
          message:
            "the stack has no known bound: main calls __aeabi_lmul of the compiler's own library, which has no call graph",
          where: 'Reset_Handler > main',
          hint: 'lm2mcu is tested with arm-none-eabi-gcc 12.2, which does not call it: take that version.',
        },
      }),
    );
  });
});
