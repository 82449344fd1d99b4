/**
 * Starts the page.
 *
 * @module
 */
import { render } from 'preact';
import { App, Nowhere } from './app.tsx';
import { placeOf } from './place.ts';
import { openStore } from './store.ts';
import 'uplot/dist/uPlot.min.css';
import './styles/frame.css';
import './styles/content.css';
import './styles/pieces.css';

const place = placeOf(location.pathname);
render(place ? <App store={openStore(place)} /> : <Nowhere />, document.getElementById('page')!);
