// Sizes that settings are written in.

export const mebibyte = 1024 * 1024;
