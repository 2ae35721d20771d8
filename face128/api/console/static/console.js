// What every page has: times in the browser's own zone, dialogs that ask before a form is sent, and parts that are
// fetched again.

for (const element of document.querySelectorAll('time[datetime]')) showLocalTime(element);

export function showLocalTime(element) {
  const moment = new Date(element.dateTime);
  if (Number.isNaN(moment.getTime())) return;
  const options = { dateStyle: 'medium', timeStyle: 'short' };
  element.title = element.textContent;
  element.textContent = new Intl.DateTimeFormat(document.documentElement.lang, options).format(moment);
}

// <details class="asking"> becomes a modal dialog: the focus stays in it, and Escape closes it.
for (const asking of document.querySelectorAll('details.asking')) {
  const summary = asking.querySelector('summary');
  const dialog = document.createElement('dialog');
  dialog.setAttribute('aria-label', summary.textContent.trim());
  const form = asking.querySelector('form');
  const cancel = document.createElement('button');
  cancel.type = 'button';
  cancel.className = 'quiet';
  cancel.textContent = document.body.dataset.cancel;
  cancel.addEventListener('click', () => dialog.close());
  form.append(cancel);
  dialog.append(form);
  const button = document.createElement('button');
  button.type = 'button';
  button.className = summary.className;
  button.textContent = summary.textContent.trim();
  button.addEventListener('click', () => dialog.showModal());
  asking.replaceWith(button, dialog);
}

// <section data-live="address" data-seconds="5">: the server's HTML of this part, again and again while it is seen.
for (const part of document.querySelectorAll('[data-live]')) {
  const again = async () => {
    if (!document.hidden && !part.contains(document.activeElement)) await refresh(part, part.dataset.live);
    setTimeout(again, 1000 * Number(part.dataset.seconds || 5));
  };
  setTimeout(again, 1000 * Number(part.dataset.seconds || 5));
}

// Put the server's HTML of a part into it. It is escaped there; the policy of the page lets no script in it run.
export async function refresh(part, address, options = {}) {
  try {
    const answer = await fetch(address, { headers: { Accept: 'text/html' }, redirect: 'error', ...options });
    if (!answer.ok) return false;
    part.innerHTML = await answer.text();
    for (const element of part.querySelectorAll('time[datetime]')) showLocalTime(element);
    return true;
  } catch {
    return false; // the service is away for a moment, or a newer request has taken this one's place
  }
}
