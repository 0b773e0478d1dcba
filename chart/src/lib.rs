//! Pictures of budgets: what was planned, spent and held of a window, and its cap, as a PNG that is read on a
//! phone. The same chart always gives the same bytes: nothing here knows a clock or the fonts of a machine.

mod panel;
mod scale;

use fleet_protocol::reply::ChartView;
use plotters::prelude::{BitMapBackend, DrawingAreaErrorKind, IntoDrawingArea as _, RGBColor};
use plotters::style::{FontStyle, register_font};

/// Width of a picture in pixels: three times that of a phone's message.
pub const WIDTH: u32 = 1_000;
/// Height of one chart in pixels.
pub const HEIGHT: u32 = 640;
/// Charts in one picture at most; the first ones are drawn.
pub const MOST: usize = 6;

/// DejaVu Sans, reduced to Latin, Greek, Cyrillic and punctuation (font/LICENSE).
const FONT: &[u8] = include_bytes!("../font/DejaVuSans-latin.ttf");
/// Its name within a picture.
const FAMILY: &str = "fleet";
/// A card of its own colour, dark: as legible where all around is light as where it is dark.
const CARD: RGBColor = RGBColor(0x1b, 0x1f, 0x27);

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The PNG file.
    pub png: Vec<u8>,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// No chart was given.
    #[error("there is nothing to draw")]
    Nothing,
    /// The bundled font cannot be read.
    #[error("the font of charts cannot be read")]
    Font,
    /// A figure cannot be drawn.
    #[error("the chart cannot be drawn: {0}")]
    Draw(String),
    /// The PNG cannot be written.
    #[error("the picture cannot be encoded: {0}")]
    Encode(#[from] png::EncodingError),
}

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for ChartError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self::Draw(error.to_string())
    }
}

/// Draws charts one below the other, at most [`MOST`].
///
/// # Errors
/// [`ChartError::Nothing`] without charts; the others are faults of the drawing.
pub fn picture(charts: &[ChartView]) -> Result<Picture, ChartError> {
    let charts = charts.get(..MOST).unwrap_or(charts);
    if charts.is_empty() {
        return Err(ChartError::Nothing);
    }
    register_font(FAMILY, FontStyle::Normal, FONT).map_err(|_| ChartError::Font)?;
    let rows = u32::try_from(charts.len()).unwrap_or(1);
    let height = HEIGHT * rows;
    let bytes = usize::try_from(WIDTH * height * 3).map_err(|e| ChartError::Draw(e.to_string()))?;
    let mut pixels = vec![0; bytes];
    {
        let root = BitMapBackend::with_buffer(&mut pixels, (WIDTH, height)).into_drawing_area();
        root.fill(&CARD)?;
        for (chart, area) in charts.iter().zip(root.split_evenly((charts.len(), 1))) {
            panel::draw(&area, chart)?;
        }
        root.present()?;
    }
    Ok(Picture {
        png: encode(&pixels, height)?,
        width: WIDTH,
        height,
    })
}

fn encode(pixels: &[u8], height: u32) -> Result<Vec<u8>, ChartError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, WIDTH, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(file)
}
