// Runs the cases of a client of the interop tests, {name: async function}, and prints one line for each.
'use strict';

exports.run = async (cases) => {
  let failed = false;
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run();
      console.log(`${name}: fine`);
    } catch (error) {
      failed = true;
      console.log(`${name}: ${error.message.replace(/\n/g, ' ')}`);
    }
  }
  process.exit(failed ? 1 : 0);
};
