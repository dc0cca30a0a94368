/** Views are made anew for each run (`{#key}` in App.svelte), so that they may read it once. */
export default {
  compilerOptions: {
    warningFilter: (warning) => warning.code !== "state_referenced_locally",
  },
};
