// The widget on Airflow's Home page: a component for Airflow's own React, without a build.
globalThis.QuartetChampion = function QuartetChampion() {
  const React = globalThis.React;
  const { createElement: make, useEffect, useState } = React;
  const [found, setFound] = useState(null);
  const base = new URL(document.baseURI).pathname.replace(/\/$/, "");

  useEffect(() => {
    let gone = false;
    const show = (value) => {
      if (!gone) setFound(value);
    };
    const ask = () =>
      fetch(`${base}/quartet/api/headline`)
        .then(async (answer) => {
          const body = await answer.json();
          show(answer.ok ? body : { error: body.detail });
        })
        .catch((error) => show({ error: `The model's state cannot be read: ${error.message}` }));
    ask();
    const timer = setInterval(ask, 60000);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [base]);

  const colour = (name) => `var(--chakra-colors-${name})`;
  const fact = (name, value, note) =>
    make(
      "div",
      { key: name },
      make("dt", { style: { color: colour("fg-muted"), fontSize: "0.8rem" } }, name),
      make("dd", { style: { fontSize: "1.25rem", fontWeight: 600, margin: 0 } }, value),
      note ? make("dd", { style: { color: colour("fg-muted"), fontSize: "0.8rem", margin: 0 } }, note) : null,
    );
  const body = () => {
    if (found === null) return make("p", null, "…");
    if (found.error) return make("p", { role: "alert" }, found.error);
    return make(
      "dl",
      { style: { display: "flex", flexWrap: "wrap", gap: "0.75rem 2.5rem", margin: 0 } },
      found.facts.map(({ name, value, note }) => fact(name, value, note)),
    );
  };
  return make(
    "section",
    {
      "aria-label": "Model in production",
      style: { border: `1px solid ${colour("border")}`, borderRadius: "5px", padding: "1rem", marginTop: "0.5rem", order: 1 },
    },
    make(
      "div",
      { style: { display: "flex", justifyContent: "space-between", gap: "1rem", marginBottom: "0.5rem" } },
      make("h2", { style: { fontWeight: 600 } }, found && found.model ? `Model in production: ${found.model}` : "Model in production"),
      make("a", { href: `${base}/plugin/models`, style: { color: colour("fg-info"), textDecoration: "underline" } }, "Models"),
    ),
    body(),
  );
};
