/**
 * The script of the HTML report, which works without it: sorting and filtering the layers, and a line
 * that tells what the pointer is over. It reads only what is on the page.
 */
export const pageScript = `
'use strict';
for (const table of document.querySelectorAll('table.layers')) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const keyOf = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.textContent = head.textContent;
    button.title = 'Sort';
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const isNumber = head.classList.contains('n');
      const was = head.getAttribute('aria-sort');
      const first = isNumber && column > 0 ? 'descending' : 'ascending';
      const order = was === null ? first : was === 'ascending' ? 'descending' : 'ascending';
      for (const other of heads) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', order);
      const sign = order === 'ascending' ? 1 : -1;
      body.append(...rows.toSorted((a, b) => {
        const [x, y] = [keyOf(a, column), keyOf(b, column)];
        return sign * (isNumber ? x - y : x.localeCompare(y));
      }));
    });
  });
  const filter = document.createElement('input');
  filter.type = 'search';
  filter.className = 'filter';
  filter.placeholder = 'Filter layers';
  filter.setAttribute('aria-label', 'Filter layers');
  filter.addEventListener('input', () => {
    const wanted = filter.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  table.parentElement.before(filter);
}
const probe = document.querySelector('.probe');
const idle = probe.textContent;
for (const group of document.querySelectorAll('.buffer, .call, .segment')) {
  const text = group.querySelector('title').textContent;
  const show = () => { probe.textContent = text; };
  const hide = () => { probe.textContent = idle; };
  group.addEventListener('pointerenter', show);
  group.addEventListener('pointerleave', hide);
  group.addEventListener('focus', show);
  group.addEventListener('blur', hide);
}
`;
