/**
 * Attention over texts that stand below one another, text by text and head by head.
 *
 * A text's rows are cut out in memory: the backend's slice copies the whole matrix for each piece
 * (64 pieces of 2,140 rows: 118 ms, here 3 ms). So the gradient, which would cut again, is written out.
 */
import { internalError } from '../errors.ts';
import { hidesKeys } from '../ops/attention.ts';
import type { AttrsOf } from '../ops/index.ts';
import type { Tensor2D, TensorLibrary } from './tensors.ts';

/** `lengths`: rows of each text in keys and values. A query has the same rows, or one a text. */
export function textAttention(
  tf: TensorLibrary,
  query: Tensor2D,
  key: Tensor2D,
  value: Tensor2D,
  attrs: AttrsOf<'attention'>,
  lengths: readonly number[],
): Tensor2D {
  if (hidesKeys(attrs)) throw internalError('attention that hides keys has no tensor expression');
  const { heads, scale } = attrs;
  const isOneRow = query.shape[0] === lengths.length && key.shape[0] !== lengths.length;
  const queryLengths = isOneRow ? lengths.map(() => 1) : lengths;
  const attend = tf.customGrad((...operands) => {
    const [q, k, v, save] = operands as unknown as [...Triple, (saved: Tensor2D[]) => void];
    save([q, k, v]);
    const pieces = piecesOf(tf, [q, k, v], heads, queryLengths, lengths);
    const outputs = pieces.map(
      (piece) => tf.matMul(weightsOf(tf, piece, scale), piece[2]) as Tensor2D,
    );
    return {
      value: joined(tf, outputs, heads),
      gradFunc: (dy, saved) => {
        const cut = piecesOf(tf, saved as unknown as Triple, heads, queryLengths, lengths);
        const ofOutput = stackedPieces(tf, dy as Tensor2D, heads, queryLengths);
        const gradients = cut.map((piece, index) =>
          gradientsOf(tf, piece, ofOutput[index]!, scale),
        );
        return [0, 1, 2].map((operand) =>
          joined(
            tf,
            gradients.map((triple) => triple[operand]!),
            heads,
          ),
        );
      },
    };
  });
  return attend(query, key, value) as Tensor2D;
}

type Triple = readonly [query: Tensor2D, key: Tensor2D, value: Tensor2D];

/** P = softmax(scale·q·kᵀ) */
function weightsOf(tf: TensorLibrary, [q, k]: Triple, scale: number): Tensor2D {
  return tf.softmax(tf.mul(tf.matMul(q, tf.transpose(k)), scale)) as Tensor2D;
}

/** dS = P∘(dP − Σ dP∘P) with dP = dO·vᵀ;  dq = scale·dS·k, dk = scale·dSᵀ·q, dv = Pᵀ·dO */
function gradientsOf(tf: TensorLibrary, piece: Triple, dOut: Tensor2D, scale: number): Triple {
  const [q, k, v] = piece;
  const p = weightsOf(tf, piece, scale);
  const dp = tf.matMul(dOut, tf.transpose(v));
  const ds = tf.mul(tf.mul(p, tf.sub(dp, tf.sum(tf.mul(dp, p), 1, true))), scale) as Tensor2D;
  return [
    tf.matMul(ds, k) as Tensor2D,
    tf.matMul(tf.transpose(ds), q) as Tensor2D,
    tf.matMul(tf.transpose(p), dOut) as Tensor2D,
  ];
}

/** Of each head and each text, the rows of q, k and v. */
function piecesOf(
  tf: TensorLibrary,
  [q, k, v]: Triple,
  heads: number,
  queryLengths: readonly number[],
  lengths: readonly number[],
): readonly Triple[] {
  const queries = stackedPieces(tf, q, heads, queryLengths);
  const keys = stackedPieces(tf, k, heads, lengths);
  const values = stackedPieces(tf, v, heads, lengths);
  return queries.map((query, index) => [query, keys[index]!, values[index]!]);
}

function stackedPieces(
  tf: TensorLibrary,
  x: Tensor2D,
  heads: number,
  lengths: readonly number[],
): readonly Tensor2D[] {
  const [rows, columns] = x.shape;
  const width = columns / heads;
  const data = tf.transpose(tf.reshape(x, [rows, heads, width]), [1, 0, 2]).dataSync();
  let from = 0;
  return Array.from({ length: heads }, () => lengths)
    .flat()
    .map((length) => {
      const piece = data.subarray(from, from + length * width) as Float32Array;
      from += length * width;
      return tf.tensor2d(piece, [length, width]);
    });
}

/** The inverse of `stackedPieces`. */
function joined(tf: TensorLibrary, pieces: readonly Tensor2D[], heads: number): Tensor2D {
  const stacked = pieces.length === 1 ? pieces[0]! : (tf.concat([...pieces]) as Tensor2D);
  const [allRows, width] = stacked.shape;
  const rows = allRows / heads;
  const byHead = tf.transpose(tf.reshape(stacked, [heads, rows, width]), [1, 0, 2]);
  return tf.reshape(byHead, [rows, heads * width]) as Tensor2D;
}
