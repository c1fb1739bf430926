/** Plans: every byte of the image is written once, where the flash wants it, the commit block last. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { joinSegments } from '../../flasher/image.ts';
import { describePlan, type FlashGeometry, planFlash } from '../../flasher/plan.ts';
import { Lm2mcuError } from '../../toolchain/errors.ts';

/** The first sectors of an STM32F446, and external flash. */
const geometry: FlashGeometry = {
  regions: [
    {
      name: 'flash',
      origin: 0x08000000,
      eraseBlocks: [
        { count: 4, sizeBytes: 16_384 },
        { count: 1, sizeBytes: 65_536 },
      ],
      firstPage: 0,
    },
    {
      name: 'nor',
      origin: 0x90000000,
      eraseBlocks: [{ count: 16, sizeBytes: 4096 }],
      firstPage: 5,
    },
  ],
  writeBytes: 256,
};

const segments = fc
  .tuple(
    fc.uint8Array({ minLength: 1, maxLength: 40_000 }),
    fc.integer({ min: 0, max: 20_000 }),
    fc.uint8Array({ minLength: 0, maxLength: 20_000 }),
  )
  .map(([code, offset, weights]) => [
    { address: 0x08000000, bytes: code },
    { address: 0x90000000 + offset, bytes: weights },
  ]);

test('writing the plan gives the image, and erased flash around it', () => {
  fc.assert(
    fc.property(segments, (parts) => {
      const image = joinSegments(parts, 'test');
      const plan = planFlash(image, geometry);
      const memory = new Map<number, number>();
      const blocks = [...plan.pages.flatMap(({ writes }) => writes), plan.commit.write];
      for (const { address, bytes } of blocks) {
        expect(address % geometry.writeBytes).toBe(0);
        expect(bytes.length).toBeLessThanOrEqual(geometry.writeBytes);
        for (const [index, byte] of bytes.entries()) {
          expect(memory.has(address + index), 'written once').toBe(false);
          memory.set(address + index, byte);
        }
      }
      const wanted = new Map(
        image.segments.flatMap(({ address, bytes }) =>
          Array.from(bytes, (byte, index) => [address + index, byte] as const),
        ),
      );
      for (const [address, byte] of wanted) expect(memory.get(address) ?? 0xff).toBe(byte);
      for (const [address, byte] of memory) expect(wanted.get(address) ?? 0xff).toBe(byte);
      for (const { address, sizeBytes, writes } of plan.pages) {
        for (const block of writes) {
          expect(block.address).toBeGreaterThanOrEqual(address);
          expect(block.address + block.bytes.length).toBeLessThanOrEqual(address + sizeBytes);
        }
      }
    }),
    { numRuns: 30 },
  );
});

test('as people read it', () => {
  const image = joinSegments(
    [
      { address: 0x08000000, bytes: new Uint8Array(70_000) },
      { address: 0x90000000, bytes: new Uint8Array(10_000) },
    ],
    'test',
  );
  expect(describePlan(planFlash(image, geometry))).toMatchInlineSnapshot(`
    "image     80,000 B on 8 pages
      flash  pages 0..3      0x08000000  erase 4 × 16,384 B, write 65,536 B
      flash  pages 4         0x08010000  erase 1 × 65,536 B, write 4,608 B
      nor    pages 5..7      0x90000000  erase 3 × 4,096 B, write 10,240 B
    first     page 0 of flash is erased, so that no half image boots
    last      256 B at 0x08000000 are written, when all else is verified"
  `);
});

describe('errors', () => {
  const messageOf = (address: number, bytes: number, commitAddress?: number) => {
    try {
      const image = joinSegments([{ address, bytes: new Uint8Array(bytes) }], 'test');
      planFlash(image, { ...geometry, commitAddress });
    } catch (error) {
      if (error instanceof Lm2mcuError) return error.details;
      throw error;
    }
    return null;
  };

  test('outside the flash', () => {
    expect(messageOf(0x20000000, 1000)).toMatchInlineSnapshot(`
      {
        "code": "outside-flash",
        "hint": "It writes flash 0x08000000 to 0x0801ffff and nor 0x90000000 to 0x9000ffff. Build for this board, or use another --protocol.",
        "message": "the image has 1,000 B at 0x20000000, which this loader cannot write",
        "where": "0x20000000 to 0x200003e7",
      }
    `);
    expect(messageOf(0x0801ff00, 1000)?.code).toBe('outside-flash');
  });

  test('nothing where the board boots from', () => {
    expect(messageOf(0x90000000, 1000, 0x08000000)).toMatchInlineSnapshot(`
      {
        "code": "no-commit-block",
        "hint": "Build the image for this board: lm2mcu build <model> --target <board> --out <dir>",
        "message": "the image has nothing at 0x08000000, from which the board boots",
        "where": "0x08000000",
      }
    `);
  });
});
