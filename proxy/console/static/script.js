// Comfort only: every page does all it does without this.
"use strict";

for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  if (!Number.isNaN(moment.getTime())) {
    time.title = time.textContent;
    time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}

const form = document.querySelector('form[data-filter="all"]');
if (form !== null) {
  const field = form.querySelector("input");
  const count = document.querySelector("[data-count]");
  const projects = Array.from(document.querySelectorAll("[data-project]"), (project) => ({
    project,
    clusters: Array.from(project.querySelectorAll("[data-cluster]")),
  }));
  const filter = () => {
    const wanted = field.value.trim().toLowerCase();
    let shown = 0;
    for (const { project, clusters } of projects) {
      let here = 0;
      for (const cluster of clusters) {
        cluster.hidden = !cluster.dataset.cluster.toLowerCase().includes(wanted);
        here += cluster.hidden ? 0 : 1;
      }
      project.hidden = wanted !== "" && here === 0;
      shown += here;
    }
    count.textContent = String(shown);
  };
  field.addEventListener("input", filter);
  filter();
}
