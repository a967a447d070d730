//! Device keys, a group at a time.

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey as AwsLcKey};
use zeroize::Zeroizing;

use super::eight::{BLINDS, Job, run};
use super::number::{N, Number};
use super::table::Jacobian;
use super::{GROUP, Lanes, TRIES, comb, draw, failed, whole};
use crate::engine::document::Document;
use crate::engine::{DeviceKey, Engine, EngineError};
use crate::profile::KeyType;
use crate::wiped::Wiped;

/// Makes [`GROUP`] keys at most, and proves them.
pub fn make(keys: &mut [DeviceKey]) -> Result<(), EngineError> {
    for _ in 0..TRIES {
        let mut total = Zeroizing::new(Number::ZERO);
        let Some(sum) = draw_and_write(keys, &mut total)? else {
            continue;
        };
        return match is_sum_of(&sum, &total) {
            true => Ok(()),
            false => Err(failed("make keys that another library agrees with")),
        };
    }
    Err(failed("make keys that are on their curve"))
}

/// Draws scalars, and writes them and their points into the documents that devices get; nothing, when chance has it
/// that there is no result. Returns the sum of the points; `total` becomes that of the scalars, as they stand in the
/// documents.
#[inline(never)]
fn draw_and_write(keys: &mut [DeviceKey], total: &mut Number) -> Result<Option<Jacobian>, EngineError> {
    let count = whole(keys.len());
    let mut scalars = Wiped::<Number, GROUP>::new();
    let (mut x, mut y) = ([Number::ZERO; GROUP], [Number::ZERO; GROUP]);
    // Beyond the keys that are asked for are some that nobody gets.
    let (scalars, x, y) = (&mut scalars[..count], &mut x[..count], &mut y[..count]);
    draw(scalars)?;
    let Some(sum) = multiply(scalars, x, y)? else {
        return Ok(None);
    };
    let document = Document::of(KeyType::P256).expect("it has one");
    for (key, (scalar, (x, y))) in keys.iter_mut().zip(scalars.iter().zip(x.iter().zip(&*y))) {
        key.write_ec(document, |private, point| {
            scalar.write(private.as_mut_array().expect("it has 32 octets"));
            let (x_place, y_place) = point.split_at_mut(32);
            x.write(x_place.as_mut_array().expect("it has 32 octets"));
            y.write(y_place.as_mut_array().expect("it has 32 octets"));
        });
        let octets = document.private(key.pkcs8());
        let scalar = Zeroizing::new(Number::of_octets(octets.as_array().expect("it has 32 octets")));
        *total = total.sum(&scalar, &N);
    }
    for scalar in &scalars[keys.len()..] {
        *total = total.sum(scalar, &N);
    }
    Ok(Some(sum))
}

/// The points that scalars make, and their sum; nothing, when chance has it that there is no result.
pub fn multiply(
    scalars: &[Number],
    x: &mut [Number],
    y: &mut [Number],
) -> Result<Option<Jacobian>, EngineError> {
    let mut blinds = Wiped::<Number, { BLINDS + 1 }>::new();
    draw(&mut blinds[..])?;
    let mut sum = None;
    let is_done = run(Job::Multiply {
        comb: comb(),
        scalars,
        blinds: &blinds,
        x,
        y,
        sum: &mut sum,
    });
    Ok(sum.filter(|_| is_done))
}

/// The points, uncompressed (SEC 1, 2.3.3), that scalars of 32 octets make. Nothing where this processor cannot, one of
/// them is 0 or not below n, or chance has it that there is no result.
pub fn public_keys(scalars: &[[u8; 32]]) -> Option<Vec<[u8; 65]>> {
    Lanes.ready().ok()?;
    let mut points = Vec::with_capacity(scalars.len());
    let mut numbers = Wiped::<Number, GROUP>::new();
    let (mut x, mut y) = ([Number::ZERO; GROUP], [Number::ZERO; GROUP]);
    for scalars in scalars.chunks(GROUP) {
        let count = whole(scalars.len());
        for (number, scalar) in numbers.iter_mut().zip(scalars) {
            *number = Number::of_octets(scalar);
            if number.is_zero() || !number.is_below(&N) {
                return None;
            }
        }
        draw(&mut numbers[scalars.len()..count]).ok()?;
        multiply(&numbers[..count], &mut x[..count], &mut y[..count]).ok()??;
        for (x, y) in x.iter().zip(&y).take(scalars.len()) {
            let mut point = [4; 65];
            let (places, _) = point[1..].as_chunks_mut::<32>();
            x.write(&mut places[0]);
            y.write(&mut places[1]);
            points.push(point);
        }
    }
    Some(points)
}

/// Whether a sum of points is what aws-lc makes of the sum of their scalars. A fault in one lane is found whichever it
/// is: it would change one of the points, and so the sum.
fn is_sum_of(sum: &Jacobian, total: &Number) -> bool {
    if total.is_zero() {
        return sum.is(None);
    }
    let mut octets = Zeroizing::new([0; 32]);
    total.write(&mut octets);
    let key = AwsLcKey::from_private_key(&ECDH_P256, &octets[..]).ok();
    let Some(point) = key.and_then(|key| key.compute_public_key().ok()) else {
        return false;
    };
    let (coordinates, _) = point.as_ref()[1..].as_chunks::<32>();
    let [x, y] = coordinates else { return false };
    sum.is(Some(&[Number::of_octets(x), Number::of_octets(y)]))
}
