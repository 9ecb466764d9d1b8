// Libraries that only some configurations need, loaded when a stage that uses them is made: most threads never do.

import { createRequire } from 'node:module';
import type * as Ajv from 'ajv/dist/2019.js';
import type * as AjvFormats from 'ajv-formats/dist/formats.js';
import type Bowser from 'bowser';
import type * as Isbot from 'isbot';
import type * as Maxmind from 'maxmind';
import type * as Re2 from 're2js';

const require = createRequire(import.meta.url);

export function loadAjv(): typeof Ajv {
  return require('ajv/dist/2019.js') as typeof Ajv;
}

export function loadAjvFormats(): typeof AjvFormats {
  return require('ajv-formats/dist/formats.js') as typeof AjvFormats;
}

export function loadRe2(): typeof Re2 {
  return require('re2js') as typeof Re2;
}

export function loadIsbot(): typeof Isbot {
  return require('isbot') as typeof Isbot;
}

export function loadBowser(): typeof Bowser {
  return require('bowser') as typeof Bowser;
}

export function loadMaxmind(): typeof Maxmind {
  return require('maxmind') as typeof Maxmind;
}
