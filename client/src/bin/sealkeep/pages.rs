//! Lists that the service gives page by page, fetched whole.
//!
//! In: a call that fetches one page. Out: the entries of all pages, in the service's order. Never: part of a list.

use crate::failure::Failure;

/// How many entries one call asks for.
pub(crate) const PAGE_SIZE: u32 = 1_000;

/// Fetches pages until the service says that there is none left. `fetch` takes the token of a page, empty for the first,
/// and gives its entries with the token of the next one.
pub(crate) async fn all<T>(
    mut fetch: impl AsyncFnMut(String) -> Result<(Vec<T>, String), Failure>,
) -> Result<Vec<T>, Failure> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let (entries, next) = fetch(page_token).await?;
        all.extend(entries);
        if next.is_empty() {
            return Ok(all);
        }
        page_token = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_page_is_asked_for_by_the_token_of_the_one_before() {
        let mut asked = Vec::new();
        let numbers = all(async |token: String| {
            asked.push(token.clone());
            Ok(match token.as_str() {
                "" => (vec![1, 2], "a".to_owned()),
                "a" => (Vec::new(), "b".to_owned()),
                _ => (vec![3], String::new()),
            })
        });
        assert_eq!(numbers.await.unwrap(), [1, 2, 3]);
        assert_eq!(asked, ["", "a", "b"]);
    }

    #[tokio::test]
    async fn a_page_that_fails_fails_the_list() {
        let list = all(async |token: String| match token.as_str() {
            "" => Ok((vec![1], "a".to_owned())),
            _ => Err(Failure::failed("away")),
        });
        assert!(list.await.is_err());
    }
}
