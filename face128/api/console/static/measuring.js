// While something is measured: ask now and then, and load the page anew when it is done.

const measuring = document.querySelector('[data-measuring]');
if (measuring) setTimeout(ask, 1000);

async function ask() {
  try {
    const answer = await fetch(measuring.dataset.measuring, { redirect: 'error' });
    if (answer.status === 200) return location.reload();
    if (answer.status !== 204) return; // signed out: the link on the page leads on
  } catch {
    // the service is away for a moment
  }
  setTimeout(ask, 1000);
}
