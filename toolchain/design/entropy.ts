/**
 * How much a decoder's layers can express before any training: the entropy of the subspaces that their
 * weight matrices span, after MeRino (arXiv 2403.07921). That paper's equations were not at hand; what
 * stands here is ours.
 *
 * A matrix with independent Gaussian weights of variance 1/inputs is read as a channel with noise of
 * variance 1/signalToNoise. What it lets through, in bits, is half the sum over its singular values s of
 * log2(1 + signalToNoise · s²). For large matrices this mean has a closed form: S. Verdú and S. Shamai,
 * Spectral Efficiency of CDMA with Random Spreading, IEEE Trans. Inf. Theory 45(2), 1999.
 */

/** Noise as strong as a singular value of a square matrix is on the average. */
export const signalToNoise = 1;

/**
 * Of attention's four matrices, of the feed-forward's two, and of the token table as the matrix that
 * makes the logits. MeRino's models are wide enough that the table does not matter; in ours it bounds
 * the logits' rank. The weights were chosen in sight of eighteen decoders that were trained for a short
 * time (examples/package-writer), to which attention and depth were worth little.
 */
const entropyWeights = { attention: 0.25, feedForward: 1, tokenTable: 2 } as const;

/** Expected bits of a random matrix. */
export function matrixEntropy(inputs: number, outputs: number): number {
  const ratio = outputs / inputs;
  const overlap =
    (Math.sqrt(signalToNoise * (1 + Math.sqrt(ratio)) ** 2 + 1) -
      Math.sqrt(signalToNoise * (1 - Math.sqrt(ratio)) ** 2 + 1)) **
      2 /
    4;
  const nats =
    ratio * Math.log(1 + signalToNoise - overlap) +
    Math.log(1 + signalToNoise * ratio - overlap) -
    overlap / signalToNoise;
  return (inputs * nats) / (2 * Math.LN2);
}

/** Of one layer; memoized by the caller, who asks for few shapes. */
export function layerEntropy(width: number, feedForward: number): number {
  const attention = 4 * matrixEntropy(width, width);
  const ffn = matrixEntropy(width, feedForward) + matrixEntropy(feedForward, width);
  return entropyWeights.attention * attention + entropyWeights.feedForward * ffn;
}

export function tokenTableEntropy(embedding: number, vocabulary: number): number {
  return entropyWeights.tokenTable * matrixEntropy(embedding, vocabulary);
}

/** Weight matrices that a signal passes one after the other in a layer: v, output, and the two of the feed-forward. */
export const matricesInSeries = 4;

/** Of `depthToWidth`, where the user names none: between llama2.c's decoders of 15 M (0.08) and 260 K (0.31). */
export const defaultDepthToWidth = 0.2;

/**
 * Depth by effective width, which is the geometric mean of the layers' widths: the more it is, the
 * worse the decoder trains (DeepMAD, CVPR 2023, bounds it by 0.5 for convolutional networks).
 */
export function depthToWidth(layers: number, sumOfLogWidths: number): number {
  return (matricesInSeries * layers) / Math.exp(sumOfLogWidths / layers);
}
